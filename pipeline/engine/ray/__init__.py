"""The engine on a Ray cluster. Importing it imports ray; no other package does."""

from pipeline.engine.ray.pool import RayEngine

__all__ = ["RayEngine"]
