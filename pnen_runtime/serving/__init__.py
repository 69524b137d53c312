"""`pnen-smooth serve`: pictures over HTTP, on one machine."""
