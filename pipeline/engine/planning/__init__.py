"""What a run will take, what it took, and what limits it."""
