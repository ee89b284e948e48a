"""What the machine underneath says."""
