"""The engine on a Ray cluster. Whoever imports this imports ray; nothing else does."""

from pipeline.engine.ray.pool import RayEngine

__all__ = ["RayEngine"]
