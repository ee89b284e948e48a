"""The loops: they call rules and edges and write the journal."""
