"""Decides who may read and edit each record: pure, no I/O, no clock."""
