"""Kafka adapters: clients, producer, topics and their health."""
