"""Test whether a model uses the shortcuts it is suspected of, as a Ray job."""

from typing import Annotated

import typer

from jobs.command import run_command, say
from pipeline.config import ClusterConfig


def confirm(
    run: Annotated[str, typer.Argument(help="Folder or URL of an audited run.")],
    address: Annotated[
        str | None, typer.Option(help="Ray cluster to join (auto, ray://…); else one is started.")
    ] = None,
    actors: Annotated[int, typer.Option(min=1, help="Workers at once.")] = 1,
    local: Annotated[bool, typer.Option("--local", help="In this process, without Ray.")] = False,
) -> None:
    """Paste and erase every suspected place: is it used, or only seen?"""
    from pipeline.audit.confirm import confirm as test
    from pipeline.engine import LocalEngine
    from pipeline.store import open_run

    opened = open_run(run)

    def tell(sentence: str) -> None:
        say(f"- {sentence}")

    if local:
        found = test(opened, LocalEngine(), tell)
    else:
        from pipeline.engine.cluster import RayEngine

        with RayEngine(ClusterConfig(address=address, actors=actors)) as engine:
            found = test(opened, engine, tell)
    if not found.num_rows:
        say("no finding names a place: nothing to test")


if __name__ == "__main__":
    run_command(confirm)
