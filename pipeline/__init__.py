"""Attention flows of whole image datasets: images → flows → atlas → findings → report."""

__version__ = "0.1.0"
