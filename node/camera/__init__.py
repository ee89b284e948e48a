"""Cameras: one protocol, four backends, each in a worker process of its own."""
