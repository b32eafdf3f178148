"""Redis adapters: fenced writes, walks over keys and progress."""
