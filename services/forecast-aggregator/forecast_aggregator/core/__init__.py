"""Sums against targets: pure, no I/O, no clock."""
