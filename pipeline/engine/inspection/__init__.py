"""What a run needs to know of its model, found by trying it once and kept for the next time."""
