"""Compute the flows of a dataset: index, compute, finalise. Run it again to resume."""

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated

import typer

from pipeline.config import RunConfig
from pipeline.console.command import console, run_command, say, terminable
from pipeline.console.configuration import read_configuration
from pipeline.images.reasons import listed

if TYPE_CHECKING:
    from pipeline.engine import Failure, Started
    from pipeline.store import Receipt, Totals


STOPPED = "stopped; what is done is kept: run the same command again to continue"


def flows(
    config: Annotated[str, typer.Argument(help="A YAML configuration, or a run of it.")],
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one line of JSON per event and nothing else.")
    ] = False,
) -> None:
    """Compute the attention flows of a whole dataset; run it again to resume."""
    settings = read_configuration(config)
    if as_json:
        compute_as_json(settings)
    else:
        compute(settings)


def _run(
    config: RunConfig,
    on_start: Callable[["Started"], None],
    on_receipt: Callable[["Receipt"], None],
    on_failure: Callable[["Failure"], None],
) -> "Totals":
    """Compute a run until it is done or a signal arrives, which is checked after every unit."""
    from pipeline.engine import run_flows

    with terminable() as check:

        def received(receipt: "Receipt") -> None:
            on_receipt(receipt)
            check()

        return run_flows(config, on_start=on_start, on_receipt=received, on_failure=on_failure)


def compute_as_json(config: RunConfig) -> None:
    """Compute a run and print its events as JSON."""
    from pipeline.console.events import EventLog

    try:
        with EventLog(sys.stdout, config.run) as log:
            log.finished(_run(config, log.started, log.receipt, log.failure))
    except KeyboardInterrupt:
        raise typer.Exit(1) from None


def compute(config: RunConfig) -> None:
    """Compute a run and print its progress and totals."""
    from pipeline.console.progress import FlowProgress

    with FlowProgress(console) as progress:
        try:
            totals = _run(config, progress.started, progress.receipt, progress.failure)
        except KeyboardInterrupt:
            say(STOPPED)
            raise typer.Exit(1) from None
        finally:
            if progress.summary:
                say(progress.summary)
    reasons = listed(totals.reasons)
    say(
        f"done: {totals.ok:,} {progress.noun} ok, {totals.quarantined:,} quarantined"
        f"{f' ({reasons})' if reasons else ''}; {config.run}"
    )


if __name__ == "__main__":
    run_command(flows)
