"""The wire format: events, their JSON, keys and topics."""
