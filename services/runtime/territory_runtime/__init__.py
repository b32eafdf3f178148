"""What services share that does I/O; it knows no service."""
