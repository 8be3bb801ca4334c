"""Other servers' protocols, as thin translations onto the one scoring path."""
