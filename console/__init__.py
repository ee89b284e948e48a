"""The operator's side: fleet screen, demo and commands."""
