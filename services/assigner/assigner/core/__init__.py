"""What the assigner decides: pure, no I/O, no clock."""
