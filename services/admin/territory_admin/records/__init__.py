"""Publishes record changes and waits until they are visible."""
