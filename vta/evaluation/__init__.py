"""Suites: what is generated, for whom it is scored, and the table of it."""
