"""``write_report``: the pages of a run's report, and what is on each."""

from collections.abc import Iterable
from dataclasses import dataclass

from pipeline.atlas import Atlas
from pipeline.report.captions import Caption, read_captions
from pipeline.report.contents import (
    ClassFacts,
    RunFacts,
    choose_atlas,
    explain,
    rank_classes,
    read_facts,
    read_quarantine,
)
from pipeline.report.depth import Depths, class_charts, read_depths, run_charts
from pipeline.report.findings import Finding, read_findings
from pipeline.report.overlays import GUTTER, Picture, draw_pictures, heat_grid
from pipeline.report.pages import ASSETS, INDEX, Page, asset, class_page, fill
from pipeline.report.strips import class_strips, run_strip, thumbnails
from pipeline.store import Run

SHOWN = 6
"""Typical, and untypical, images of a class."""
EVIDENCE = 6
"""Images shown with a finding."""
FINDINGS = 40
"""Findings on the first page; each class's page has all of its own."""

Ranked = tuple[tuple[int, float], ...]  # (row, distance to the class mean)


@dataclass(frozen=True)
class _Volume:
    """Everything that several pages draw on."""

    run: Run
    atlas: Atlas
    facts: RunFacts
    classes: tuple[ClassFacts, ...]
    findings: tuple[Finding, ...]
    depths: Depths
    typical: dict[int, Ranked]
    untypical: dict[int, Ranked]
    pictures: dict[int, Picture]
    captions: dict[int, Caption]


def write_report(run: Run) -> str:
    """Write the report of a run that has an atlas and an audit; return the first page's path.

    The report is a folder of static pages: it opens from disk, needs no network, and the same
    run gives the same bytes. Images that cannot be read any more leave a placeholder.

    Raises
    ------
    RunIncomplete
        The run is not finished, or has no atlas or no audit yet.
    """
    run.require_finished()
    volume = _gather(run)
    for name in ASSETS:
        run.write(f"report/assets/{name}", asset(name))
    _write_index(volume)
    for rank in range(len(volume.classes)):
        _write_class(volume, rank)
    return f"report/{INDEX.path}"


def _gather(run: Run) -> _Volume:
    findings = read_findings(run, EVIDENCE)
    atlas = choose_atlas(run)
    classes = rank_classes(atlas, findings)
    typical = {fact.id: _ranked(atlas.typical(fact.id, SHOWN)) for fact in classes}
    untypical = {fact.id: _ranked(atlas.atypical(fact.id, SHOWN)) for fact in classes}
    rows = {row for finding in findings for row in finding.evidence}
    for shown in (typical, untypical):
        rows |= {row for images in shown.values() for row, _ in images}
    return _Volume(
        run=run,
        atlas=atlas,
        facts=read_facts(run),
        classes=classes,
        findings=findings,
        depths=read_depths(atlas),
        typical=typical,
        untypical=untypical,
        pictures=draw_pictures(run, rows),
        captions=read_captions(run, rows),
    )


def _ranked(found: tuple[Iterable[int], Iterable[float]]) -> Ranked:
    return tuple((int(row), float(distance)) for row, distance in zip(*found, strict=True))


def _write_index(volume: _Volume) -> None:
    run, atlas = volume.run, volume.atlas
    thumbs = thumbnails(atlas, [fact.position for fact in volume.classes])
    film, strip = run_strip(atlas)
    run.write("report/assets/classes.webp", thumbs.content)
    run.write("report/assets/run.webp", film.content)
    contents = _common(volume) | {
        "thumbs": thumbs,
        "film": film,
        "strip": strip,
        "charts": run_charts(volume.depths),
        "classes": volume.classes,
        "found": len(volume.findings),
        "findings": volume.findings[:FINDINGS],
        "paged": {fact.id for fact in volume.classes},
        "quarantine": read_quarantine(run),
    }
    _write(run, INDEX, contents)


def _write_class(volume: _Volume, rank: int) -> None:
    run, fact = volume.run, volume.classes[rank]
    shares = volume.depths.shares[fact.position]
    film, strips = class_strips(volume.atlas, fact.position, shares)
    run.write(f"report/assets/classes/{fact.id:d}.webp", film.content)
    contents = _common(volume) | {
        "fact": fact,
        "rank": rank,
        "ranked": len(volume.classes),
        "before": volume.classes[rank - 1] if rank else None,
        "after": volume.classes[rank + 1] if rank + 1 < len(volume.classes) else None,
        "film": film,
        "strips": strips,
        "charts": class_charts(volume.depths, fact.position),
        "findings": [finding for finding in volume.findings if finding.class_id == fact.id],
        "typical": volume.typical[fact.id],
        "untypical": volume.untypical[fact.id],
    }
    _write(run, class_page(fact.id), contents)


def _write(run: Run, page: Page, contents: dict[str, object]) -> None:
    run.write(f"report/{page.path}", fill(page, contents))


def _common(volume: _Volume) -> dict[str, object]:
    return {
        "facts": volume.facts,
        "heat": heat_grid(volume.facts.grid, len(volume.facts.layers)),
        "gutter": GUTTER,
        "table": volume.atlas.table,
        "pictures": volume.pictures,
        "captions": volume.captions,
        "explain": explain,
    }
