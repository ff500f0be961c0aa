"""Pages about a run, a fleet and an evaluation, each one HTML file that works from file:// without a network."""
