"""Compute the flows of a dataset: index, compute, finalise. Run it again to resume."""

from pathlib import Path
from typing import Annotated

import typer

from jobs.command import console, run_command, terminable
from jobs.progress import FlowProgress
from pipeline.config import RunConfig, load_config


def flows(config: Annotated[Path, typer.Argument(help="The run's YAML configuration.")]) -> None:
    """Compute the attention flows of a whole dataset; run it again to resume."""
    compute(load_config(config))


def compute(config: RunConfig) -> None:
    """Compute a run and say how it went."""
    from pipeline.engine import run_flows

    with FlowProgress(console) as progress:
        try:
            with terminable():
                totals = run_flows(config, on_start=progress.started, on_receipt=progress.receipt)
        except KeyboardInterrupt:
            console.print("stopped; what is done is kept: run the same command again to go on")
            raise typer.Exit(1) from None
        finally:
            if progress.summary:
                console.print(progress.summary, highlight=False, markup=False)
    told = ", ".join(f"{count:,} {reason}" for reason, count in totals.reasons.items())
    console.print(
        f"done: {totals.ok:,} images ok, {totals.quarantined:,} quarantined"
        f"{f' ({told})' if told else ''}; {config.run}",
        highlight=False,
        markup=False,
    )


if __name__ == "__main__":
    run_command(flows)
