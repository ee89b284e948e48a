"""What `heliograph-node` does beyond the service itself: one module for each topic, named in the table of node.cli."""
