"""Commonness: how many images of a run are near duplicates of each, and the weights from it."""
