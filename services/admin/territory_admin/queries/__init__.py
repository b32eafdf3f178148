"""Answers questions from Redis, the log and the active model."""
