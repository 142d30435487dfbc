"""Flows: how much each layer of a model uses each position of an image. One file per method.

The methods are imported when the first flow is created: drawing maps needs none of them.
"""

from typing import TYPE_CHECKING

from pipeline.flows.flow import Flow, Method, accumulate
from pipeline.flows.render import render
from pipeline.lazy_exports import lazy_exports

if TYPE_CHECKING:
    from pipeline.flows.registry import create_flow
else:
    __getattr__ = lazy_exports(__name__, {"registry": ("create_flow",)})

__all__ = ["Flow", "Method", "accumulate", "create_flow", "render"]
