"""Estimate what a run needs before it starts: rows, units, bytes, memory, hours, cost."""

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pipeline.config import RunConfig
from pipeline.console.command import console, errors, run_command, say
from pipeline.console.configuration import place_of, read_configuration
from pipeline.errors import FlowatlasError
from pipeline.nouns import counted

if TYPE_CHECKING:
    from pipeline.engine import Measured, Plan
    from pipeline.engine.benchmark.result import Precision
    from pipeline.engine.preparation import Prepared


_QUICK = 16
"""Images that are computed to know how long a run takes, if nothing else says so."""

_PRECISION_SECONDS = 2.0
"""How long each precision is measured."""

_LONG = 600.0
"""Seconds of a run from which it is worth the time to measure what bfloat16 would save."""

_WORTH = 1.1
"""How many times as fast bfloat16 must be to be offered."""


def plan(
    config: Annotated[str, typer.Argument(help="A YAML configuration, or a run of it.")],
    gpus: Annotated[int | None, typer.Option(min=1, help="GPUs that work in parallel.")] = None,
    actors: Annotated[
        int | None, typer.Option(min=1, help="Actors that work in parallel, instead of --gpus.")
    ] = None,
    rate: Annotated[
        float | None, typer.Option(min=1e-9, help="Images per second of one actor.")
    ] = None,
    price: Annotated[
        float | None, typer.Option(min=0, help="Price of a GPU (or an actor) per hour.")
    ] = None,
    memory: Annotated[
        float | None, typer.Option(min=0, help="GiB that one actor may hold; more is refused.")
    ] = None,
    measure: Annotated[
        int | None, typer.Option(min=1, help="Run this many images on this machine first.")
    ] = None,
    like: Annotated[
        str | None, typer.Option(help="Take bytes, memory and rate from this run's receipts.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON and nothing else.")] = False,
) -> None:
    """Check a configuration and estimate what its run needs; nothing of the run is written."""
    if (gpus and actors) or (measure and like):
        raise typer.BadParameter("give --gpus or --actors, and --measure or --like, not both")
    from pipeline.console.plan_table import needs_table, shape_table
    from pipeline.engine import check_fit, measure_run, measure_sample, plan_run, prepare
    from pipeline.files.places import free_bytes

    settings = read_configuration(config)
    with errors.status("reading the dataset, trying the method on the model"):
        prepared = prepare(settings)
    if not as_json:
        console.print(shape_table(prepared.spec))
    with errors.status("computing a few images"):
        measured, note = None, None
        if measure or like:
            measured = (
                measure_run(like, prepared.spec.unit_rows)
                if like
                else measure_sample(settings, prepared, int(measure or 0))
            )
        elif not rate:
            measured, note = _benchmarked(config, settings, prepared)
            if measured is None:
                rate, quick = _quick_rate(settings, prepared)
                note = f"{quick}; {note}" if note else quick
        here = bool(note or measure)  # the machine that computes is this one
        per_actor = _gpus_per_actor(settings)
        workers = int(gpus / per_actor + 1e-9) if gpus else actors
        estimate = plan_run(
            prepared.spec,
            batch_size=settings.flow.batch_size,
            workers=workers or _workers(settings, measured, prepared, here=here),
            images_per_second=rate,
            price_per_hour=price and price * (per_actor if gpus else 1),
            measured=measured,
        )
        half = _bfloat16(config, settings, prepared, estimate.seconds) if here else None
    limit = None if memory is None else int(memory * 2**30)
    warnings = check_fit(estimate, memory=limit, free=free_bytes(settings.run))
    screening = _screening(prepared, estimate)
    if as_json:
        content = {
            **asdict(estimate),
            "screening": screening,
            "total_bytes": estimate.total_bytes,
            "layers": len(prepared.spec.layers),
            "grid": list(prepared.spec.grid),
            "notes": list(prepared.notes),
            "time": note,
            "bfloat16": half and asdict(half),
            "labels": prepared.labelling.to_json(prepared.index),
            "leftovers": [asdict(leftover) for leftover in prepared.spec.leftovers],
            "warnings": warnings,
        }
        print(json.dumps(content, indent=1))
        return
    console.print(needs_table(estimate, prepared.spec, measured, screening))
    if note:
        say(f"time: {note}")
    if half is not None:
        say(f"precision: {half.sentence('float32')}; flow.precision: bfloat16 in a new run")
    for of_model in prepared.notes:
        say(f"model: {of_model}")
    say(f"labels: {prepared.labelling.sentence(prepared.index)}")
    for leftover in prepared.spec.leftovers:
        say(f"not used: {leftover}")
    for sentence in warnings:
        say(f"warning: {sentence}")


def _benchmarked(
    given: str, config: RunConfig, prepared: "Prepared"
) -> tuple["Measured | None", str | None]:
    """Return what ``flowatlas benchmark`` measured with these settings, and where."""
    from pipeline.engine.benchmark.result import load_benchmark, place_beside

    path = place_of(given)
    found = None if path is None else load_benchmark(path)
    if path is None or found is None:
        return None, None
    name, machine = place_beside(path).name, found.machine
    together = found.of(config, prepared.spec)
    if together is None:
        return None, f"{name} is of other settings: run flowatlas benchmark again to use it"
    gpus = f", {machine.gpus} × {machine.gpu}" if machine.gpus else ""
    return together.measured, (
        f"from {name} of {found.made[:10]} ({machine.processor}, "
        f"{counted(machine.cpus, 'CPU')}{gpus}); "
        "--measure N measures here and now, --rate and --gpus are for another machine"
    )


def _bfloat16(
    given: str, config: RunConfig, prepared: "Prepared", seconds: float | None
) -> "Precision | None":
    """Return what bfloat16 is worth here for a new run in float32; None if that is little.

    Only for methods whose flow keeps its ranks in it. What is not known is measured if the run
    takes long: ``seconds``.
    """
    from pipeline.engine.inspection.precision import ROBUST

    flow = prepared.spec.config["flow"]
    if flow["precision"] != "float32" or flow["method"] not in ROBUST or not prepared.parts:
        return None
    from pipeline.engine.benchmark.half_precision import try_bfloat16
    from pipeline.engine.benchmark.result import load_benchmark

    path = place_of(given)
    measured = None if path is None else load_benchmark(path)
    found: Precision | None
    try:
        if measured and measured.precisions and measured.of(config, prepared.spec):
            (found,) = measured.precisions
        elif (seconds or 0.0) < _LONG:
            return None
        else:
            found = try_bfloat16(config, prepared, _PRECISION_SECONDS)
    except FlowatlasError:  # no image can be read here; the plan has said so
        return None
    return found if found and (found.times or 0) >= _WORTH else None


def _quick_rate(config: RunConfig, prepared: "Prepared") -> tuple[float | None, str]:
    """Return the images per second of one worker on this machine, and how that is known."""
    from pipeline.engine import measure_sample

    alone = config.cluster.model_copy(update={"engine": "local", "actors": 1})
    try:
        quick = config.model_copy(update={"cluster": alone})
        measured = measure_sample(quick, prepared, _QUICK)
    except FlowatlasError as error:
        return None, f"unknown, for no image could be computed here: {error}; give --rate"
    return measured.images_per_second, (
        "at the rate of one worker on this machine, measured on "
        f"{counted(measured.rows, 'image')}; --measure N measures more images, --rate and --gpus "
        "are for another machine"
    )


def _screening(prepared: "Prepared", plan: "Plan") -> dict[str, Any] | None:
    """Return what ``flowatlas screen`` of the finished run will take; None where it is impossible.

    A forward pass takes at most as long as the map of an image, whose rate is known. So ``seconds``
    and ``cost`` are upper bounds, None without a rate or a price.
    """
    from pipeline.audit.screening.effort import effort

    if prepared.spec.multi_label:
        return None
    index, given = prepared.index, prepared.labelling.classes.values()
    classes = len({output for output in given if output is not None})
    if not classes:
        classes = (index.highest_label or 0) + 1 if index.labelled else len(prepared.spec.classes)
    passes = effort(classes).passes
    hours = plan.images_per_second and passes / plan.images_per_second / 3600
    per_hour = plan.cost and plan.seconds and plan.cost / (plan.seconds / 3600)
    return {
        "classes": classes,
        "passes": passes,
        "seconds": hours and hours * 3600 / plan.workers,
        "cost": hours and per_hour and hours / plan.workers * per_hour,
    }


def _gpus_per_actor(config: RunConfig) -> float:
    asked = config.cluster.gpus_per_actor
    return 1.0 if asked == "auto" or not asked else float(asked)


def _workers(
    config: RunConfig, measured: "Measured | None", prepared: "Prepared", *, here: bool
) -> int:
    """Return the actors that the run is to have, was measured with, or has room for here."""
    from pipeline.engine.planning.room import workers_here

    asked = config.cluster.actors
    if asked != "auto":
        return asked
    if measured:
        return measured.workers
    return min(workers_here(config.cluster), len(prepared.spec.units)) if here else 1


if __name__ == "__main__":
    run_command(plan)
