"""From a name and weights to a network that may be explained, with the hash of its weights."""
