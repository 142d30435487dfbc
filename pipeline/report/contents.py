"""Everything a report draws on, read from the run once."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

from pipeline.atlas import TABLES, Atlas, choose_atlas
from pipeline.audit.finding import Finding
from pipeline.audit.findings_table import EVALUATION, read_findings
from pipeline.audit.text.names import short_names, shortened
from pipeline.images.reasons import explain
from pipeline.progress import Progress
from pipeline.report.opening.confusions import Answers, read_answers
from pipeline.report.opening.shared import Shared, find_shared
from pipeline.report.pages.classes import ClassFacts, rank_classes, with_folders
from pipeline.report.pages.clusters import ClassClusters, read_clusters
from pipeline.report.pages.comparison import ComparisonPage, read_comparisons
from pipeline.report.pages.depth import Depths, read_depths
from pipeline.report.pages.facts import RunFacts, read_facts
from pipeline.report.pages.heads import Heads, read_heads
from pipeline.report.pages.labels import rate_word, read_rates, words_of
from pipeline.report.pages.lightbox import row_details
from pipeline.report.pages.mistakes import ScoredRows, read_mistakes
from pipeline.report.pages.neighbours import find_neighbours
from pipeline.report.pages.outcomes import open_outcomes
from pipeline.report.pages.pairs import PairsPage, read_pairs
from pipeline.report.pages.quantiles import Quantiles
from pipeline.report.pages.rows import Row, read_rows
from pipeline.report.pages.verdicts import Verdict, read_verdicts
from pipeline.report.pictures.captions import Caption, read_captions
from pipeline.report.pictures.overlays import GUTTER, Picture, draw_pictures, heat_grid
from pipeline.store import Run

if TYPE_CHECKING:
    from pipeline.report.pages.evaluation import EvaluationPage

SHOWN = 6
"""Typical, untypical and wrong images of a class; images of a finding except on its own page."""
MOST_SHOWN = 9_000
"""Images of all classes together, with a page and pictures each: of many classes, fewer of each."""
CONFUSIONS = 12
"""Confusions, and images of which the model is sure and wrong, on the first page."""
FINDINGS = 40
"""Findings with a page of their own; the page of a class has all of its findings."""


@dataclass(frozen=True)
class Volume:
    """The contents of a report; ``typical``, ``untypical`` and ``mistakes`` are by class id.

    No image is both typical and untypical; in a class of few images none is untypical.
    """

    run: Run
    atlas: Atlas
    facts: RunFacts
    classes: tuple[ClassFacts, ...]
    findings: tuple[Finding, ...]
    depths: Depths
    typical: dict[int, ScoredRows]
    untypical: dict[int, ScoredRows]
    mistakes: dict[int, ScoredRows]
    pictures: dict[int, Picture]
    captions: dict[int, Caption]
    rows: dict[int, Row]
    """Every shown row, by number: each has a page of its own."""
    neighbours: dict[int, tuple[int, ...]]
    """Shown rows of the same class whose flow is nearest, by row."""
    verdicts: dict[int, Verdict]
    """By finding."""
    comparisons: tuple[ComparisonPage, ...]
    evaluation: "EvaluationPage | None"
    clusters: dict[int, ClassClusters]
    """By class id."""
    outcomes: Atlas | None
    """Statistics of the right and the wrong images of every label; None without labels."""
    exact: bool
    """Whether medians and quantiles of classes are those of the images, not of histograms."""
    answers: Answers
    sure: tuple[int, ...]
    """Wrong images, those of which the model is surest first."""
    shared: Shared | None
    heads: Heads | None
    """Statistics of attention heads; None where the run stores none."""
    pairs: PairsPage | None
    """Explained pairs of images; None where there are none."""

    @cached_property
    def details(self) -> dict[int, dict[str, object]]:
        """What the light-box shows of every row, as JSON can hold it."""
        return {
            number: row_details(
                row,
                self.pictures[number],
                self.captions[number],
                self.neighbours[number],
                self.paged,
            )
            for number, row in self.rows.items()
        }

    @cached_property
    def paged(self) -> frozenset[int]:
        """Classes that have a page."""
        return frozenset(fact.id for fact in self.classes)

    def common(self) -> dict[str, object]:
        """Return what every template needs."""
        return {
            "facts": self.facts,
            "heat": heat_grid(self.facts.grid, len(self.facts.layers)),
            "gutter": GUTTER,
            "listed": min(FINDINGS, len(self.findings)),
            "table": self.atlas.table,
            "rate": rate_word(self.run, self.atlas.table),
            "words": words_of(self.run, self.atlas.table),
            "pictures": self.pictures,
            "captions": self.captions,
            "rows": self.rows,
            "details": self.details,
            "explain": explain,
            "verdicts": self.verdicts,
            "paged": self.paged,
            "short": short_names(self.run.spec.classes),
            "shared": self.shared,
            "about": "" if self.exact else "≈ ",
        }


def gather(run: Run, progress: Progress | None = None) -> Volume:
    """Read a run that has an atlas and an audit, and draw the pictures of the rows it shows.

    ``progress`` counts the pictures; as many pages will follow.
    """
    found = read_findings(run)
    sentences = shortened([finding.sentence for finding in found], run.spec.classes)
    findings = tuple(
        replace(
            finding,
            sentence=sentence,
            evidence=finding.evidence[: None if finding.number < FINDINGS else SHOWN],
        )
        for finding, sentence in zip(found, sentences, strict=True)
    )
    atlas = choose_atlas(run)
    quantiles = Quantiles(run, atlas)
    classes = rank_classes(atlas, findings, quantiles, read_rates(run, atlas.table))
    most = of_a_class(len(classes))
    typical = {fact.id: _scored(atlas.typical(fact.id, most)) for fact in classes}
    untypical = {fact.id: _untypical(atlas, fact, typical[fact.id], most) for fact in classes}
    mistakes: dict[int, ScoredRows] = {}
    if atlas.table == "label" or run.spec.multi_label:
        mistakes = read_mistakes(run, most, TABLES[atlas.table])
    answers = read_answers(run, CONFUSIONS)
    wrong = [image for images in mistakes.values() for image in images]
    sign = 1 if run.spec.multi_label and atlas.table == "label" else -1  # a miss: the lowest score
    sure = tuple(row for row, _ in sorted(wrong, key=lambda image: (sign * image[1], image[0])))
    rows = {row for finding in findings for row in finding.rows}
    for shown in (typical, untypical, mistakes):
        rows |= {row for images in shown.values() for row, _ in images}
    rows |= {row for confusion in answers.confusions for row in confusion.rows}
    comparisons = read_comparisons(run)
    rows |= {row for comparison in comparisons for row in comparison.rows}
    evaluation = _evaluation(run)
    rows |= evaluation.rows if evaluation else frozenset()
    pairs = read_pairs(run)
    rows |= pairs.rows if pairs else frozenset()
    own = read_rows(run, atlas, quantiles, findings[:FINDINGS], rows)
    captions = read_captions(run, rows)
    failed = {row for row, caption in captions.items() if caption.correct is False}
    progress = progress or Progress()
    progress.plan(2 * len(rows))
    pictures = draw_pictures(run, rows, failed, progress)
    uris = {number: [captions[row].uri for row, _ in images] for number, images in typical.items()}
    return Volume(
        run=run,
        atlas=atlas,
        facts=read_facts(run),
        classes=with_folders(classes, uris),
        findings=findings,
        depths=read_depths(atlas),
        typical=typical,
        untypical=untypical,
        mistakes=mistakes,
        pictures=pictures,
        captions=captions,
        rows=own,
        neighbours=find_neighbours(own, pictures),
        verdicts=read_verdicts(run),
        comparisons=comparisons,
        evaluation=evaluation,
        clusters=read_clusters(run),
        outcomes=open_outcomes(run, atlas.table),
        exact=quantiles.exact,
        answers=answers,
        sure=sure[:CONFUSIONS],
        shared=find_shared(atlas),
        heads=read_heads(run, atlas),
        pairs=pairs,
    )


def _evaluation(run: Run) -> "EvaluationPage | None":
    if not run.exists(EVALUATION):
        return None
    # What reads it imports every method, and with them most of torch.
    from pipeline.report.pages.evaluation import read_evaluation

    return read_evaluation(run)


def of_a_class(classes: int) -> int:
    """Return how many images of a kind are shown of each of so many classes."""
    return max(2, min(SHOWN, MOST_SHOWN // (3 * max(1, classes))))


def _untypical(atlas: Atlas, fact: ClassFacts, typical: ScoredRows, most: int) -> ScoredRows:
    if fact.few:
        return ()
    near = {row for row, _ in typical}
    far = _scored(atlas.atypical(fact.id, 2 * most))
    return tuple((row, distance) for row, distance in far if row not in near)[:most]


def _scored(found: tuple[Iterable[int], Iterable[float]]) -> ScoredRows:
    return tuple((int(row), float(distance)) for row, distance in zip(*found, strict=True))
