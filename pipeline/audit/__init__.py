"""Findings: what stands out in an atlas, each with a sentence and the images that show it."""

from typing import TYPE_CHECKING

from pipeline.lazy_exports import lazy_exports

if TYPE_CHECKING:
    from pipeline.audit.run import audit
else:
    __getattr__ = lazy_exports(__name__, {"run": ("audit",)})

__all__ = ["audit"]
