"""The access index in Redis: written, read, and swapped after a rebuild."""
