"""From bytes to upright 8-bit RGB, or to the reason why there is no image."""
