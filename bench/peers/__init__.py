"""Other serving systems with the same graph, each run in an environment of its own."""
