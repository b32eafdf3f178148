"""Which rules of a rule book hold for a record: three engines with the same answers."""
