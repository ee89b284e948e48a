"""A fleet of real nodes on this machine, which leaves nothing behind."""
