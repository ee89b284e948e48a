"""The published contract: all of the node that the console may import."""
