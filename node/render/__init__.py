"""Videos: which frames at which rate and size, encoded and verified in a child process of its own."""
