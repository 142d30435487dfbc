"""Estimates of every class, tests against the other classes, intervals."""
