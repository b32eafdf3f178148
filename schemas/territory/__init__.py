"""The language that all services share: events, models and rules. Pure: no I/O and no clock."""
