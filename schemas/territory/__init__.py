"""The language that all services share: pure, no I/O, no clock."""
