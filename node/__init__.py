"""The capture-and-render service on each Pi."""

__version__ = "0.5.0"
