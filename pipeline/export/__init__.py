"""A run's images and flows in the formats of other tools."""
