"""Reads Kafka topics from an offset to their present end, without a consumer group."""
