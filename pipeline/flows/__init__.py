"""Flows: how much each layer of a model uses each position of an image. One file per method."""

from pipeline.flows.flow import Flow, Method, accumulate
from pipeline.flows.registry import create_flow
from pipeline.flows.render import render

__all__ = ["Flow", "Method", "accumulate", "create_flow", "render"]
