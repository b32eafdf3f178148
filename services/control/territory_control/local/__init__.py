"""The services, a broker and Redis on this machine, and the demo."""
