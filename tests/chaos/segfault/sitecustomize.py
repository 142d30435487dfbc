"""Imported first by every Python that finds this folder in its path."""

from tests.chaos.workers import break_decoder

break_decoder()
