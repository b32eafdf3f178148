"""Decides, live, which territories every record belongs to."""
