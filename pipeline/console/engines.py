"""The engine that a command's options choose: a Ray cluster's actors, or this process."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Annotated

import typer

from pipeline.config import ClusterConfig
from pipeline.engine import Engine

Address = Annotated[
    str | None,
    typer.Option(help="Ray cluster to join (auto, ray://…); by default one is started."),
]
Actors = Annotated[
    int | None,
    typer.Option(min=1, help="Workers in parallel; by default as many as there is room for."),
]
Local = Annotated[bool, typer.Option("--local", help="In this process, without Ray.")]


@contextmanager
def chosen_engine(address: str | None, actors: int | None, local: bool) -> Iterator[Engine]:
    """Yield the engine that the options of a command choose; a Ray session ends with it.

    Ray is started, or its cluster joined, only if there is something to compute.
    """
    from pipeline.engine import LocalEngine, OnDemand

    if local:
        yield LocalEngine()
        return
    from pipeline.engine.ray import RayEngine

    cluster = ClusterConfig(address=address, actors=actors or "auto")
    with ExitStack() as session:
        yield OnDemand(lambda: session.enter_context(RayEngine(cluster)))
