"""Labelled reference images that a model without a classifier is compared with."""
