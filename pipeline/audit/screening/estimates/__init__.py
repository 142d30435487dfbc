"""Estimates: what a group of images has more of than the rest, and who has it."""
