"""Files wherever they lie: local paths and object stores, listed, opened and cached alike."""
