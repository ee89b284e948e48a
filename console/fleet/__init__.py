"""Everything known about the fleet without a screen."""
