"""Adapter of the access index in Redis: writes it, reads it, and swaps a rebuilt one in."""
