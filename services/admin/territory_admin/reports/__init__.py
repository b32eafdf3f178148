"""Sales reports as pure functions over deals, and their input from the log."""
