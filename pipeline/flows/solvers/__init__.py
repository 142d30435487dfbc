"""Inverting a convolutional network layer by layer: closed forms and least squares."""
