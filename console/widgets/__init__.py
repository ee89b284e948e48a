"""Widgets by screen area."""
