"""What the tables and figures of the paper share."""
