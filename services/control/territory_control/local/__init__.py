"""The embedded broker and Redis, the services as child processes, and the demo."""
