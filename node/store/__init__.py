"""The durable record on SQLite."""
