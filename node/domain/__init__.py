"""The rule book: pure functions and frozen types, no files, clock, sockets or threads."""
