"""A run as static HTML pages: findings, classes and images with their flow."""

from pipeline.report.report import write_report

__all__ = ["write_report"]
