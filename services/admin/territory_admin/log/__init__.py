"""Reads Kafka topics from a position to their present end, without a consumer group."""
