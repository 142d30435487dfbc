"""A run as static HTML pages: findings, classes and images with their flow."""

from typing import TYPE_CHECKING

from pipeline.lazy_exports import lazy_exports

if TYPE_CHECKING:
    from pipeline.report.report import write_report
else:
    __getattr__ = lazy_exports(__name__, {"report": ("write_report",)})

ANSWER = "report/data/answer.txt"
"""The sentences of the first screen."""

__all__ = ["ANSWER", "write_report"]
