"""The page of explained pairs of images."""

from collections.abc import Mapping

from pipeline.report.pages.pairs import GAP, HEIGHT, PairsPage
from pipeline.report.pages.templates import PAIRS, fill
from pipeline.store import Run

FILMS = "assets/pairs"
"""Folder of the maps of every table, in the report's."""


def write_pairs(run: Run, pairs: PairsPage | None, common: Mapping[str, object]) -> None:
    """Write the page of pairs; remove what an earlier report has and this one does not."""
    films = {}
    for number, table in enumerate(pairs.tables if pairs else ()):
        if table.film is not None:
            films[number] = f"{FILMS}/{number + 1:d}.webp"
            run.write(f"report/{films[number]}", table.film.content)
    for path in run.list(f"report/{FILMS}"):
        if path.removeprefix("report/") not in films.values():
            run.delete(path)
    if pairs is None:
        run.delete(f"report/{PAIRS.path}")
        return
    contents = {**common, "pairs": pairs, "films": films, "high": HEIGHT, "gap": GAP}
    run.write(f"report/{PAIRS.path}", fill(PAIRS, contents))
