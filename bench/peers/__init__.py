"""Other serving systems for the same graph, each in its own environment."""
