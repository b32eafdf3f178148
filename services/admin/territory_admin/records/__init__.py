"""Publishes records and links by hand, and waits until they are in Redis."""
