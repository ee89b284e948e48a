"""The operator's commands without a screen, by subject; each module holds a table of them."""
