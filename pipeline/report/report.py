"""``write_report``: the pages of a run's report, and what is on each."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from pipeline.atlas import Atlas
from pipeline.report.captions import Caption, read_captions
from pipeline.report.contents import (
    ClassFacts,
    RunFacts,
    choose_table,
    explain,
    rank_classes,
    read_facts,
    read_quarantine,
)
from pipeline.report.depth import Profile, class_charts, read_profiles, run_charts
from pipeline.report.figures import Sprite, levels, sprite
from pipeline.report.findings import Finding, read_findings
from pipeline.report.overlays import Picture, draw_pictures
from pipeline.report.pages import ASSETS, INDEX, Page, Strip, asset, class_page, fill, percent
from pipeline.store import Run

SHOWN = 8
"""Typical, and untypical, images of a class."""
EVIDENCE = 6
"""Images shown with a finding."""
FINDINGS = 40
"""Findings on the first page; each class's page has all of its own."""


@dataclass(frozen=True)
class _Volume:
    """Everything that several pages draw on."""

    run: Run
    atlas: Atlas
    facts: RunFacts
    classes: tuple[ClassFacts, ...]
    findings: tuple[Finding, ...]
    profiles: tuple[Profile, ...]
    typical: dict[int, tuple[tuple[int, float], ...]]
    untypical: dict[int, tuple[tuple[int, float], ...]]
    pictures: dict[int, Picture]
    captions: dict[int, Caption]


def write_report(run: Run) -> str:
    """Write the report of a run that has an atlas and an audit; return the first page's path.

    The report is a folder of static pages: it opens from disk, needs no network, and the same
    run gives the same bytes.

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
    atlas = choose_table(run)
    columns = [column.name for column in run.spec.columns]
    classes = rank_classes(atlas, findings, columns)
    typical = {fact.id: _pairs(atlas.typical(fact.id, SHOWN)) for fact in classes}
    untypical = {fact.id: _pairs(atlas.atypical(fact.id, SHOWN)) for fact in classes}
    rows = {row for finding in findings for row in finding.evidence}
    rows |= {row for shown in (typical, untypical) for pairs in shown.values() for row, _ in pairs}
    return _Volume(
        run=run,
        atlas=atlas,
        facts=read_facts(run),
        classes=classes,
        findings=findings,
        profiles=read_profiles(atlas, len(run.spec.layers), columns),
        typical=typical,
        untypical=untypical,
        pictures=draw_pictures(run, rows),
        captions=read_captions(run, rows),
    )


def _pairs(found: tuple[Iterable[int], Iterable[float]]) -> tuple[tuple[int, float], ...]:
    rows, distances = found
    return tuple(
        (int(row), float(distance)) for row, distance in zip(rows, distances, strict=True)
    )


def _write_index(volume: _Volume) -> None:
    run, atlas, classes = volume.run, volume.atlas, volume.classes
    last = np.stack([atlas.flow_mean[fact.position, -1] for fact in classes])
    peaks = np.nanmax(last, axis=(1, 2), initial=0.0)
    thumbs = sprite(
        np.stack([levels(values) for values in last]), columns=math.isqrt(len(classes) - 1) + 1
    )
    weights = np.asarray([fact.images - fact.no_mass for fact in classes], np.float64)
    means = np.nan_to_num(np.stack([atlas.flow_mean[fact.position] for fact in classes]))
    hero = np.einsum("k,klyx->lyx", weights, means) / max(weights.sum(), 1.0)
    run.write("report/assets/classes.webp", thumbs.content)
    run.write("report/assets/run.webp", (strip := sprite(levels(hero), len(hero))).content)
    contents = _common(volume, INDEX) | {
        "thumbs": thumbs,
        "peaks": peaks * last[0].size,
        "hero": strip,
        "hero_peak": float(hero.max(initial=0.0)) * hero[0].size,
        "charts": run_charts(volume.profiles, atlas, len(run.spec.layers)),
        "classes": classes,
        "findings": volume.findings[:FINDINGS],
        "more": len(volume.findings) - FINDINGS,
        "paged": {fact.id for fact in classes},
        "quarantine": read_quarantine(run),
    }
    run.write(f"report/{INDEX.path}", fill(INDEX, contents))


def _write_class(volume: _Volume, rank: int) -> None:
    run, fact = volume.run, volume.classes[rank]
    page = class_page(fact.id)
    maps, strips = _strips(volume, fact)
    run.write(f"report/assets/classes/{fact.id:d}.webp", maps.content)
    around = [
        volume.classes[near] if 0 <= near < len(volume.classes) else None
        for near in (rank - 1, rank + 1)
    ]
    contents = _common(volume, page) | {
        "fact": fact,
        "rank": rank,
        "ranked": len(volume.classes),
        "before": around[0],
        "after": around[1],
        "maps": maps,
        "strips": strips,
        "charts": class_charts(
            volume.profiles, volume.atlas, fact.position, len(run.spec.layers)
        ),
        "findings": [finding for finding in volume.findings if finding.class_id == fact.id],
        "typical": volume.typical[fact.id],
        "untypical": volume.untypical[fact.id],
    }
    run.write(f"report/{page.path}", fill(page, contents))


def _common(volume: _Volume, page: Page) -> dict[str, object]:
    return {
        "facts": volume.facts,
        "table": volume.atlas.table,
        "pictures": volume.pictures,
        "captions": volume.captions,
        "explain": explain,
    }


def _strips(volume: _Volume, fact: ClassFacts) -> tuple[Sprite, tuple[Strip, ...]]:
    """Draw a class's film-strips into one sprite, a row each."""
    atlas, place = volume.atlas, fact.position
    accumulated, raw = atlas.flow_mean[place], atlas.mean[place]
    deviation = np.sqrt(atlas.flow_variance[place])
    layers, cells = len(raw), raw[0].size
    shares = _shares(volume, place)
    rows = (accumulated, raw, deviation)
    peaks = [float(np.nan_to_num(values).max(initial=0.0)) * cells for values in rows]
    strips = (
        Strip(
            "Accumulated",
            "The mean flow: all layers up to this one.",
            0,
            peaks[0],
            "uniform",
        ),
        Strip(
            "Layer by layer",
            "The mean map of this layer alone, with its share of the mass.",
            layers,
            peaks[1],
            "uniform",
            tuple(percent(share) for share in shares),
        ),
        Strip(
            "Deviation",
            "Where the images of the class differ: standard deviation of the accumulated flow.",
            2 * layers,
            peaks[2],
            "uniform",
        ),
    )
    drawn = np.concatenate([levels(values) for values in rows])
    return sprite(drawn, columns=layers), strips


def _shares(volume: _Volume, place: int) -> Sequence[float]:
    known = {column.name for column in volume.run.spec.columns}
    names = [f"share_l{layer:02d}" for layer in range(len(volume.facts.layers))]
    if not set(names) <= known:
        return ()
    return [float(volume.atlas.column_mean(name)[place]) for name in names]
