"""Findings: what stands out in an atlas, said in a sentence, with the images that show it."""

from pipeline.audit.run import audit

__all__ = ["audit"]
