"""Classes that look at a place, or lack mass, unlike every other class."""
