"""Refused messages: list them and send them again."""
