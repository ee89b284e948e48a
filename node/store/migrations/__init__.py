"""Schema steps in numeric order, run by playhouse.migrations; each is frozen once released."""
