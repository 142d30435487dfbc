"""Faults of the images themselves, whatever the model."""
