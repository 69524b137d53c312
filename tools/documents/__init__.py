"""The documentation: its site, its blocks of code, its list of messages."""
