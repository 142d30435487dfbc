"""Say what a run takes before it starts: rows, units, bytes, memory, hours, cost."""

from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from jobs.command import console, run_command
from pipeline.config import load_config


def plan(
    config: Annotated[Path, typer.Argument(help="The run's YAML configuration.")],
    rate: Annotated[
        float | None, typer.Option(help="Images per second of one actor, for hours and cost.")
    ] = None,
    actors: Annotated[int, typer.Option(help="Actors that work at once.")] = 1,
    price: Annotated[
        float | None, typer.Option(help="Price of one actor (its GPU) per hour.")
    ] = None,
) -> None:
    """Check a configuration and say what its run takes, without starting anything."""
    from pipeline.engine import plan_run, prepare

    settings = load_config(config)
    spec = prepare(settings).spec
    estimate = plan_run(
        spec,
        batch_size=settings.flow.batch_size,
        images_per_second=rate,
        workers=actors,
        price_per_hour=price,
    )
    table = Table(show_header=False, box=None)
    table.add_row("images", f"{estimate.rows:,}")
    table.add_row("units", f"{estimate.units:,} of {estimate.unit_rows:,} rows")
    table.add_row("maps", f"{len(spec.layers)} layers of {spec.grid[0]}×{spec.grid[1]} cells")
    table.add_row("bytes", f"{_bytes(estimate.total_bytes)} before compression of the maps")
    table.add_row("objects", f"{estimate.objects:,}")
    table.add_row("memory", f"{_bytes(estimate.worker_bytes)} per actor beside the model")
    if estimate.hours is not None:
        table.add_row("time", f"{estimate.hours:.2f} h with {actors} actors at {rate:g} images/s")
    if estimate.cost is not None:
        table.add_row("cost", f"{estimate.cost:,.2f}")
    console.print(table)
    if estimate.units < 4 * actors:
        console.print(
            f"warning: {estimate.units} units keep {actors} actors busy unevenly; set a smaller "
            f"unit_rows, e.g. {max(1, estimate.rows // (8 * actors))}"
        )


def _bytes(number: int) -> str:
    size = float(number)
    for unit in ("B", "kB", "MB", "GB"):
        if size < 1000:
            return f"{size:.3g} {unit}"
        size /= 1000
    return f"{size:.3g} TB"


if __name__ == "__main__":
    run_command(plan)
