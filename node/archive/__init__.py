"""The archive: targets that hold frames elsewhere and prove it."""
