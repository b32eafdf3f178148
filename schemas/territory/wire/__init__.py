"""Everything that crosses Kafka: events, their JSON, keys and topics."""
