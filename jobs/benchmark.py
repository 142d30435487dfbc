"""Measure what this machine does with a run, part by part, and recommend settings."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
import yaml
from rich.table import Table

from pipeline.console.command import console, errors, run_command, say
from pipeline.console.configuration import place_of, read_configuration
from pipeline.errors import ConfigError
from pipeline.nouns import counted

if TYPE_CHECKING:
    from pipeline.engine.benchmark.result import Benchmark

_PARTS = {
    "fetch": "one reader",
    "decode": "one reader",
    "transform": "one reader",
    "reading": "one reader",
    "compute": "model, method",
    "measure": "all else",
    "step": "both",
    "commit": "units",
    "forward": "plain model",
    "forward+backward": "plain model",
}


def benchmark(
    config: Annotated[str, typer.Argument(help="A YAML configuration, or a run of it.")],
    seconds: Annotated[
        float,
        typer.Option(min=1, help="About how long to measure; starting and slow models add to it."),
    ] = 120,
    output: Annotated[
        Path | None,
        typer.Option(help="Where the result goes; by default beside CONFIG, as .benchmark.json."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON and nothing else.")] = False,
) -> None:
    """Measure what this machine does with a run; `plan` then uses it. Nothing of it is written."""
    from pipeline.engine.benchmark.result import place_beside
    from pipeline.engine.benchmark.run import benchmark as measure

    settings, given = read_configuration(config), place_of(config)
    place = output or (None if given is None else place_beside(given))
    if place is None:
        raise ConfigError(f"{config} is in a store; give --output, a local file for the result")
    if not place.parent.is_dir():
        raise ConfigError(f"there is no folder {place.parent} for the result; give --output")

    def progress(part: str) -> None:
        if not as_json:
            say(f"… {part}", errors)

    found = measure(settings, seconds, progress)
    text = found.to_json()
    try:
        place.write_text(text + "\n", encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"cannot write {place}: {error.strerror}; give --output") from error
    if as_json:
        print(text)
        return
    _show(found)
    say(f"\n{place}: flowatlas plan {config} takes its time from it")


def _show(found: "Benchmark") -> None:
    """Print the tables and the recommended settings."""
    machine = found.machine
    gpus = f"{machine.gpus} × {machine.gpu}" if machine.gpus else "no GPU"
    say(f"{machine.processor}, {counted(machine.cpus, 'CPU')}, {gpus}; {machine.versions}")
    say(
        f"{found.model}, {found.method}, {found.precision}, batch {found.batch_size}, "
        f"{counted(found.threads, 'thread')} an actor\n"
    )
    console.print(_alone(found))
    say(f"matmul of large matrices: {found.matmul / 1e9:,.0f} GFLOP/s\n")
    console.print(_readers(found))
    console.print(_together(found))
    for one in found.precisions:
        say(f"{one.images_per_second:,.3g} images/s: {one.sentence(found.precision)}")
    if len(found.batches) > 1:
        sizes = ", ".join(f"{size}: {rate:,.4g}" for size, rate in sorted(found.batches.items()))
        say(f"step by batch size: {sizes} images/s")
    gpu = f"; {found.gpu_bytes / 1e9:.3g} GB of the GPU's" if found.gpu_bytes else ""
    say(
        f"memory of an actor: {found.peak_bytes / 1e9:.3g} GB at its peak; planned "
        f"{found.planned_bytes / 1e9:.3g} GB, plus the model and its libraries{gpu}"
    )
    for note in found.notes:
        say(f"note: {note}")
    say("\nrecommended:")
    flow = {section: dict(fields) for section, fields in found.recommended.items()}
    say(yaml.safe_dump(flow, sort_keys=False, default_flow_style=None).rstrip())


def _alone(found: "Benchmark") -> Table:
    table = Table("alone", "", "images/s", "ms an image", "share of matmul", box=None)
    for name, meaning in _PARTS.items():
        rate = found.alone[name]
        share = f"{found.share(name):.0%}" if name in found.operations else ""
        table.add_row(name, meaning, f"{rate:,.4g}", f"{1000 / rate:,.3g}", share)
    return table


def _readers(found: "Benchmark") -> Table:
    table = Table("readers", "", "images/s", "of one", box=None)
    for one in found.readers:
        times = one.images_per_second / found.readers[0].images_per_second
        table.add_row(one.kind, f"{one.count}", f"{one.images_per_second:,.4g}", f"{times:.2f} ×")
    return table


def _together(found: "Benchmark") -> Table:
    table = Table(
        "together", "CPUs", "GPU", "readers", "images/s", "of the step alone", "waiting", box=None
    )
    for one in found.together:
        spent = one.measured.stages
        waited = spent.get("wait", 0.0) + spent.get("store", 0.0)
        whole = waited + sum(spent.get(stage, 0.0) for stage in ("compute", "measure"))
        table.add_row(
            counted(one.actors, "actor"),
            f"{one.cpus_per_actor}",
            f"{one.gpus_per_actor:g}",
            one.readers,
            f"{one.images_per_second:,.4g}",
            f"{one.images_per_second / found.alone['step']:.2f} ×",
            f"{waited / whole:.0%}" if whole else "",
        )
    return table


if __name__ == "__main__":
    run_command(benchmark)
