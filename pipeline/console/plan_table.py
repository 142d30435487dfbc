"""A plan as tables: what the run is, and what it will need."""

from collections.abc import Mapping
from typing import Any

from rich.table import Table

from pipeline.engine import Measured, Plan
from pipeline.nouns import counted
from pipeline.store import RunSpec

_NAMES = 9
"""Characters of the longest name, so that tables printed one after the other look like one."""


def shape_table(spec: RunSpec) -> Table:
    """Return what is known without computing anything: images, units, maps."""
    table = _empty()
    table.add_row("images", spec.counted.replace(" images", "", 1))
    table.add_row("units", f"{len(spec.units):,} of {counted(spec.unit_rows, 'row')}")
    rows, columns = spec.grid
    table.add_row("maps", f"{counted(len(spec.layers), 'layer')} of {rows}×{columns} cells")
    return table


def needs_table(
    plan: Plan, spec: RunSpec, measured: Measured | None, screening: Mapping[str, Any] | None
) -> Table:
    """Return bytes, objects, memory, time and cost of a run, and of its screening if it has one.

    ``screening`` has ``classes``, ``passes``, ``seconds`` and ``cost``.
    """
    table = _empty()
    how = f"from {counted(measured.rows, 'measured image')}" if measured else "estimated"
    each = plan.total_bytes / plan.rows
    table.add_row(
        "bytes",
        f"{_bytes(plan.total_bytes)} stored, {each:,.0f} per image ({_bytes(plan.map_bytes)} of "
        f"maps, {_bytes(plan.summary_bytes)} of {len(spec.columns)} measures; {how})",
    )
    rhythm = "" if plan.puts_per_second is None else f", {plan.puts_per_second:,.3g} per second"
    table.add_row("objects", f"{plan.objects:,}{rhythm}")
    rest = "" if measured else ", plus the model and its libraries"
    table.add_row("memory", f"{_bytes(plan.worker_bytes)} per actor ({how}{rest})")
    if plan.seconds is not None:
        table.add_row(
            "time",
            f"{_time(plan.seconds)} with {counted(plan.workers, 'actor')} at "
            f"{plan.images_per_second:.3g} images/s each",
        )
    if plan.cost is not None:
        table.add_row("cost", f"{plan.cost:,.2f}")
    if screening is not None:
        table.add_row("screening", _screening(screening))
    return table


def _empty() -> Table:
    table = Table(show_header=False, box=None)
    table.add_column(min_width=_NAMES)
    table.add_column()
    return table


def _screening(screening: Mapping[str, Any]) -> str:
    passes = counted(screening["passes"], "forward pass")
    words = f"at most {passes} for {counted(screening['classes'], 'class')}"
    if screening["seconds"] is not None:
        words += f", {_time(screening['seconds'])} or less"
    return words if screening["cost"] is None else f"{words}, cost {screening['cost']:,.2f}"


def _time(seconds: float) -> str:
    return f"{seconds / 3600:,.2f} h" if seconds >= 3600 else f"{seconds / 60:.1f} min"


def _bytes(number: int) -> str:
    size = float(number)
    for unit in ("B", "kB", "MB", "GB"):
        if size < 1000:
            return f"{size:.3g} {unit}"
        size /= 1000
    return f"{size:.3g} TB"
