"""``write_report``: the pages of a run's report, and what is on each."""

from collections import Counter
from collections.abc import Collection

from pipeline.audit.finding import Finding
from pipeline.progress import Progress, Show, unseen
from pipeline.report import ANSWER
from pipeline.report.contents import FINDINGS, Volume, gather
from pipeline.report.head_page import write_heads
from pipeline.report.image_table import FOLDER as IMAGE_DATA
from pipeline.report.image_table import count_files, write_image_table
from pipeline.report.json_data import write_data
from pipeline.report.opening.answer import as_text
from pipeline.report.opening.scatter import class_scatter
from pipeline.report.pages.checks import read_checks
from pipeline.report.pages.depth import class_charts, run_charts
from pipeline.report.pages.labels import rate_word, read_labels
from pipeline.report.pages.outcomes import CHANCE, read_outcome
from pipeline.report.pages.quarantine import read_quarantine
from pipeline.report.pages.templates import (
    ASSETS,
    EVALUATION,
    IMAGES,
    INDEX,
    TABLE_ASSETS,
    Page,
    asset,
    class_page,
    comparison_page,
    fill,
    finding_page,
    row_page,
)
from pipeline.report.pages.verdicts import state_of
from pipeline.report.pair_page import write_pairs
from pipeline.report.pictures.animation import animate
from pipeline.report.pictures.crops import draw_crops
from pipeline.report.pictures.film_strips import class_strips, run_strip, thumbnails
from pipeline.report.pictures.overlays import heat_film
from pipeline.report.statements import read_statements
from pipeline.report.suspects import suspects_files, suspects_table
from pipeline.store import Run

FILMS = (
    ("Accumulated", "All layers up to this one.", 0),
    ("Layer by layer", "Each layer alone.", 1),
    ("Accumulated, for the label", "All layers up to this one, explaining the label.", 2),
    ("Layer by layer, for the label", "Each layer alone, explaining the label.", 3),
)
"""The strips on the page of a row: title, note and the column of its overlay."""


def write_report(run: Run, on_progress: Show = unseen) -> str:
    """Write the report of a run that has an atlas and an audit; return the first page's path.

    The report is a folder of static pages: it opens from disk, needs no network, and the same
    run gives the same bytes. Images that cannot be read any more leave a placeholder. Pages of
    an earlier report of the run that this one does not have are removed.

    Raises
    ------
    RunIncomplete
        The run is not finished, or has no atlas or no audit of this version yet.
    """
    run.require_finished()
    progress = Progress(on_progress)
    volume = gather(run, progress)
    listed = volume.findings[:FINDINGS]
    progress.plan(len(volume.classes) + len(listed) + len(volume.rows) + count_files(run))
    for name in ASSETS:
        run.write(f"report/assets/{name}", asset(name))
    word = rate_word(run, volume.atlas.table)
    write_data(run, volume.classes, volume.findings, volume.verdicts, word)
    suspects = dict(suspects_files(suspects_table(run, volume.findings)))
    for path, content in suspects.items():
        run.write(path, content)
    _write_index(volume)
    for rank in range(len(volume.classes)):
        _write_class(volume, rank)
        progress.add()
    for finding in listed:
        _write_finding(volume, finding)
        progress.add()
    _write_rows(volume, progress)
    _write_images(volume, progress)
    write_heads(run, volume.heads, volume.common())
    write_pairs(run, volume.pairs, volume.common())
    for number in range(len(volume.comparisons)):
        _write_comparison(volume, number)
    _write_evaluation(volume)
    _sweep(volume, suspects)
    return f"report/{INDEX.path}"


def _write_index(volume: Volume) -> None:
    run, atlas = volume.run, volume.atlas
    thumbs = thumbnails(atlas, [fact.position for fact in volume.classes])
    film, strip = run_strip(atlas)
    run.write("report/assets/classes.webp", thumbs.content)
    run.write("report/assets/run.webp", film.content)
    listed = volume.findings[:FINDINGS]
    statements = read_statements(volume)
    run.write(ANSWER, as_text(statements).encode("utf-8", "replace"))
    contents = volume.common() | {
        "thumbs": thumbs,
        "film": film,
        "strip": strip,
        "charts": run_charts(volume.depths),
        "classes": volume.classes,
        "found": len(volume.findings),
        "findings": listed,
        "kinds": Counter(finding.kind for finding in listed),
        "states": Counter(
            state_of(finding, volume.verdicts.get(finding.number)) for finding in listed
        ),
        "severities": Counter(finding.severity for finding in listed),
        "quarantine": read_quarantine(run),
        "comparisons": volume.comparisons,
        "statements": statements,
        "scatter": class_scatter(atlas, volume.classes, rate_word(run, atlas.table)),
        "confusions": volume.answers.confusions,
        "sure": volume.sure,
        "evaluation": volume.evaluation,
        "checks": read_checks(run, atlas, volume.facts, volume.classes),
        "heads": volume.heads,
        "pairs": volume.pairs,
        "lines": read_labels(run) if run.spec.multi_label else (),
    }
    _write(run, INDEX, contents)


def _write_class(volume: Volume, rank: int) -> None:
    run, fact = volume.run, volume.classes[rank]
    shares = volume.depths.shares[fact.position]
    film, strips = class_strips(volume.atlas, fact.position, shares)
    run.write(f"report/assets/classes/{fact.id:d}.webp", film.content)
    moving = animate(volume.atlas.flow_mean[fact.position])
    run.write(f"report/assets/classes/{fact.id:d}-moving.webp", moving)
    clusters = volume.clusters.get(fact.id)
    if clusters:
        run.write(f"report/assets/classes/{fact.id:d}-clusters.webp", clusters.film.content)
    outcome = read_outcome(volume.outcomes, fact.id)
    if outcome:
        run.write(f"report/assets/classes/{fact.id:d}-outcome.webp", outcome.film.content)
        run.write(f"report/assets/classes/{fact.id:d}-gap.webp", outcome.gap.content)
    contents = volume.common() | {
        "fact": fact,
        "outcome": outcome,
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
        "mistakes": volume.mistakes.get(fact.id, ()),
        "clusters": clusters,
        "chance": CHANCE,
        "heads": volume.heads,
    }
    _write(run, class_page(fact.id), contents)


def _write_finding(volume: Volume, finding: Finding) -> None:
    listed = volume.findings[:FINDINGS]
    crops = draw_crops(volume.run, finding.class_id, finding.place)
    if crops:
        volume.run.write(f"report/assets/findings/{finding.number:d}-crops.webp", crops.content)
    contents = volume.common() | {
        "found": finding,
        "named": _short(volume, finding),
        "crops": crops,
        "mine": _film(volume, finding.class_id),
        "everybody": dict(zip(("film", "strip"), run_strip(volume.atlas), strict=True)),
        "before": listed[finding.number - 1] if finding.number else None,
        "after": listed[finding.number + 1] if finding.number + 1 < len(listed) else None,
    }
    _write(volume.run, finding_page(finding.number), contents)


def _write_rows(volume: Volume, progress: Progress) -> None:
    order = list(volume.rows)
    facts = {fact.id: fact for fact in volume.classes}
    common = volume.common() | {"films": FILMS}
    grid, layers = volume.facts.grid, len(volume.facts.layers)
    for place, number in enumerate(order):
        row = volume.rows[number]
        contents = common | {
            "row": row,
            "film": heat_film(grid, layers, volume.pictures[number].columns),
            "near": volume.neighbours[number],
            "fact": facts.get(row.class_id) if row.class_id is not None else None,
            "before": order[place - 1] if place else None,
            "after": order[place + 1] if place + 1 < len(order) else None,
        }
        _write(volume.run, row_page(number), contents)
        progress.add()


def _write_images(volume: Volume, progress: Progress) -> None:
    """Write the page of all images; chunks that an earlier, larger run left are removed."""
    kept = {*write_image_table(volume.run, volume.atlas, progress)}
    for path in volume.run.list(IMAGE_DATA):
        if path not in kept:
            volume.run.delete(path)
    for name in TABLE_ASSETS:
        volume.run.write(f"report/assets/{name}", asset(name))
    contents = volume.common() | {"rows_total": volume.run.spec.rows}
    _write(volume.run, IMAGES, contents)


def _write_comparison(volume: Volume, number: int) -> None:
    comparison = volume.comparisons[number]
    if flows := comparison.flows:
        for name, drawn in (("flow", flows.film), ("change", flows.signed)):
            volume.run.write(f"report/{_comparison_asset(number, name)}", drawn.content)
    if images := comparison.images:
        volume.run.write(f"report/{_comparison_asset(number, 'images')}", images.film.content)
    contents = volume.common() | {
        "comparison": comparison,
        "sprites": {name: _comparison_asset(number, name) for name in ("flow", "change", "images")},
    }
    _write(volume.run, comparison_page(number), contents)


def _write_evaluation(volume: Volume) -> None:
    """Write the page of the evaluation; remove that of an earlier report if there is none now."""
    run, evaluation = volume.run, volume.evaluation
    if evaluation is None:
        run.delete(f"report/{EVALUATION.path}")
        return
    sprite = "assets/evaluation.webp"
    if evaluation.maps:
        run.write(f"report/{sprite}", evaluation.maps.film.content)
    contents = volume.common() | {"evaluation": evaluation, "sprite": sprite}
    _write(run, EVALUATION, contents)


def _comparison_asset(number: int, name: str) -> str:
    return f"assets/comparisons/{number + 1:d}-{name}.webp"


def _short(volume: Volume, finding: Finding) -> str | None:
    """Return the short name of a finding's class, if it has a page; else its name."""
    names = {fact.id: fact.short for fact in volume.classes}
    return names.get(-1 if finding.class_id is None else finding.class_id, finding.class_name)


def _film(volume: Volume, class_id: int | None) -> dict[str, object] | None:
    """Return the accumulated strip on a class's own page; None if it has no page."""
    for fact in volume.classes:
        if fact.id == class_id:
            film, strips = class_strips(volume.atlas, fact.position, ())
            return {"film": film, "strip": strips[0]}
    return None


def _sweep(volume: Volume, suspects: Collection[str]) -> None:
    """Remove the pages of an earlier report that has other classes, findings or evidence."""
    kept = {f"report/{class_page(fact.id).path}" for fact in volume.classes}
    kept |= {f"report/{finding_page(found.number).path}" for found in volume.findings[:FINDINGS]}
    kept |= {f"report/{comparison_page(n).path}" for n in range(len(volume.comparisons))}
    kept |= {f"report/{row_page(number).path}" for number in volume.rows}
    kept |= {*suspects}
    for folder in ("classes", "findings", "rows", "comparisons", "data/suspects"):
        for path in volume.run.list(f"report/{folder}"):
            if path not in kept:
                volume.run.delete(path)


def _write(run: Run, page: Page, contents: dict[str, object]) -> None:
    run.write(f"report/{page.path}", fill(page, contents))
