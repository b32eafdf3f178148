"""Lists dead letters, shows one, and sends refused messages again."""
