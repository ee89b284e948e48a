"""What cells say: one table of columns for each kind of list."""
