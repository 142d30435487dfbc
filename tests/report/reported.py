"""A real run with hostile names and images of every fate, aggregated, audited and reported."""

import json
from pathlib import Path

import numpy as np
from PIL import Image

from pipeline.atlas import aggregate
from pipeline.audit import audit
from pipeline.audit.causal.confirmation import LEVEL, Confirmation
from pipeline.audit.causal.confirmations_table import confirmations_table
from pipeline.audit.causal.suspects import find_suspects
from pipeline.audit.compare.comparison import compare
from pipeline.audit.finding import Finding
from pipeline.audit.findings_table import (
    CONFIRMATIONS,
    numbered,
    read_findings,
    write_findings,
)
from pipeline.audit.stats.intervals import Rate
from pipeline.report import write_report
from pipeline.store import Run, Status, open_run
from pipeline.store.parquet import parquet_bytes
from tests.atlas.synthetic import synthetic_run

HOSTILE = "<img src=x onerror=alert(1)>"
NAMES = (
    "goldfish",
    HOSTILE,
    "../../../etc/passwd",
    "{{ 7 * 7 }} & {% raw %}",
    "a \u202eright-to-left\" onmouseover='alert(2)'",
    "Donaudampfschifffahrtselektrizitätenhauptbetriebswerkbauunterbeamtengesellschaft" * 3,
    "line\u2028separated\tname",
    "</style></script><script>alert(3)</script>",
)
TAGGED = 1
SIZE = (96, 128)


def drawn_run(folder: Path, **options: int) -> Run:
    """Write a run without statistics; of five images one is missing and one is no image."""
    layout = {"images": 400, "layers": 4, "tag_class": TAGGED} | options
    run = synthetic_run(folder, classes=len(NAMES), grid=(6, 8), tag_share=0.5, **layout)
    spec = json.loads(run.read("run.json"))
    spec["classes"] = NAMES
    spec["input"]["size"] = SIZE
    run.write("run.json", json.dumps(spec).encode())
    for row, uri in enumerate(run.index().column("uri").to_pylist()):
        if row % 5 == 0:
            continue
        path = folder / uri
        path.parent.mkdir(exist_ok=True)
        if row % 5 == 1:
            path.write_bytes(b"<svg onload=alert(4)>")
        else:
            Image.fromarray(pixels(row)).save(path)
    return open_run(str(folder))


def pixels(row: int) -> np.ndarray:
    """Return the image of a row: one flat colour, (120, 160, 3)."""
    colour = np.random.default_rng(row).integers(0, 256, 3, np.uint8)
    return np.broadcast_to(colour, (120, 160, 3)).copy()


def reported_run(folder: Path, **options: int) -> Run:
    """Write a run with its report: a finding that was put to the test, one that names no place but
    has evidence of every fate, and a comparison."""
    run = drawn_run(folder, **options)
    aggregate(run)
    audit(run)
    noticed(run)
    tested(run)
    other = drawn_run(
        folder.parent / f"{folder.name} <b>other</b>", **options | {"seed": 5, "tag_class": 2}
    )
    aggregate(other)
    compare(run, other)
    write_report(run)
    return run


def noticed(run: Run) -> None:
    """Add a finding about the whole run that names no place, as one of image faults would be.

    Its evidence are images of every fate (see ``fates``).
    """
    rows = tuple((row, 0.0) for row in fates(run).values())
    fault = Finding(
        *("fault", None, "brightness", 2.0, 2, "low", "2 images are dark."),
        columns=("brightness",),
        evidence=rows,
    )
    write_findings(run, numbered([*read_findings(run), fault]))


def fates(run: Run) -> dict[str, int]:
    """Return the first row of every fate: quarantined, without mass, missing, no image, sound."""
    table = run.summary().to_table(columns=["row", "status", "mass_flow"]).to_pandas()
    table = table.sort_values("row")
    used, kind = table.status == Status.OK, table.row % 5
    some = {
        "quarantined": ~used,
        "massless": used & (table.mass_flow == 0),
        "missing": used & (kind == 0) & (table.mass_flow > 0),
        "no image": used & (kind == 1) & (table.mass_flow > 0),
        "sound": used & (kind > 1) & (table.mass_flow > 0),
    }
    return {fate: int(table.row[chosen].iloc[0]) for fate, chosen in some.items()}


def tested(run: Run) -> None:
    """Write a verdict on the first finding, as of a test that ran on no carrier of the class."""
    (first, *_) = find_suspects(run, "label", read_findings(run))
    counts = ((30, 40), (22, 30), (1, 40), (2, 40), (0, 0), (1, 20))
    rates = (Rate(*pair, LEVEL) for pair in counts)
    confirmation = Confirmation(first, *rates)
    table = confirmations_table([confirmation], [first.finding], run.spec.classes)
    run.write(CONFIRMATIONS, parquet_bytes(table))
