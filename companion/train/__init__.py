"""One training, many runs of it, and the search for a learning rate."""
