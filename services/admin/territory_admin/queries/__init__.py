"""Answers questions from Redis, the topics and the active model; one question a file."""
