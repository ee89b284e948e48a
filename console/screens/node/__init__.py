"""One node: its summary, jobs, frames, events and configuration, each a tab."""
