"""The classes of a run in numbers, ranked by risk."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import PurePosixPath

import numpy as np

from pipeline.atlas import Atlas
from pipeline.audit.finding import Finding
from pipeline.audit.places import CORNERS, LIFT_COLUMNS
from pipeline.audit.stats.estimates import LEAST_IMAGES
from pipeline.audit.stats.intervals import Rate
from pipeline.audit.text.names import short_names
from pipeline.report.pages.quantiles import Quantiles


@dataclass(frozen=True)
class ClassFacts:
    """A class in numbers; NaN where a statistic is undefined."""

    id: int
    position: int
    """In the atlas."""
    name: str
    short: str
    """The first of its synonyms, where that is the name of no other class."""
    folder: str
    """The folder that its images lie in; empty if they lie in several, or it is shared."""
    images: int
    distinct: float
    """Sum of the weights of its images; their number where the atlas has no weights."""
    kish: float
    """Kish's effective sample size of them."""
    no_mass: int
    """Images whose maps are zero: they count, but have no mean map."""
    accuracy: float
    """Of images with several labels the recall or the precision of the class."""
    accuracy_low: float
    """Ends of its 95 % interval (Wilson), which is wide for few images."""
    accuracy_high: float
    at_best: float
    """Upper end of an interval that holds for all classes together: Wilson's at 1 - 0.05 / K."""
    mass: float
    """Median of the accumulated raw mass."""
    corner: float
    """Mean lift of the corner with the most mass; 1 = uniform."""
    depth: float
    """Mean convergence depth, in layers."""
    axis: float
    """Share of the variance of its flows that is along their first principal axis."""
    bimodality: float
    """Sarle's coefficient of the places of its images on that axis; of few images it is high
    whatever they are."""
    findings: int

    @property
    def few(self) -> bool:
        """Whether too few images have a flow to call any typical, or to look for clusters."""
        return round(self.distinct) - self.no_mass < LEAST_IMAGES


def rank_classes(
    atlas: Atlas,
    findings: Sequence[Finding],
    quantiles: Quantiles | None = None,
    rates: Mapping[int, Rate] | None = None,
) -> tuple[ClassFacts, ...]:
    """Return the classes that have images, the riskiest first.

    Medians are those of ``quantiles``, else of the atlas's histograms. ``rates`` are the shares of
    right answers of every class where the atlas does not have them.

    Risk is an order, not a number: the class of the most severe finding comes first; classes
    without findings follow, in the order of ``at_best``, the upper end of an interval of their
    accuracy: two wrong images of two prove little where many classes are compared. Ties go by
    class id.
    """
    counts = Counter(finding.class_id for finding in findings)
    facts = _class_facts(atlas, counts, quantiles, rates)
    first: dict[int | None, int] = {}
    for finding in findings:
        first.setdefault(finding.class_id, finding.number)

    def risk(fact: ClassFacts) -> tuple[float, float, int]:
        return first.get(fact.id, np.inf), fact.at_best, fact.id

    return tuple(sorted(facts, key=risk))


def _class_facts(
    atlas: Atlas,
    findings: Counter[int | None],
    quantiles: Quantiles | None,
    rates: Mapping[int, Rate] | None,
) -> list[ClassFacts]:
    ids, count, no_mass, accuracy = atlas.classes, atlas.count, atlas.n_zero, atlas.accuracy
    labelled = atlas.n_labelled
    if rates is not None:
        found = [rates.get(number, Rate(0, 0)) for number in ids.tolist()]
        accuracy = np.array([rate.value for rate in found])
        labelled = np.array([rate.images for rate in found])
    level = 1 - 0.05 / max(int(np.count_nonzero(count)), 1)
    corner = np.max([atlas.column_mean(LIFT_COLUMNS[corner]) for corner in CORNERS], axis=0)
    mass, short = atlas.quantile("mass_flow", 0.5), short_names(atlas.names)
    if quantiles is not None:
        (mass,) = quantiles.of("mass_flow", 0.5)
    depth = atlas.column_mean("convergence_depth")
    return [
        ClassFacts(
            id=int(ids[position]),
            position=int(position),
            name=atlas.names[position],
            short=short[position],
            folder="",
            images=int(count[position]),
            distinct=float(atlas.weight[position]),
            kish=float(atlas.kish[position]),
            no_mass=int(no_mass[position]),
            accuracy=float(accuracy[position]),
            accuracy_low=_ends(accuracy[position], labelled[position], 0.95)[0],
            accuracy_high=_ends(accuracy[position], labelled[position], 0.95)[1],
            at_best=_ends(accuracy[position], labelled[position], level)[1],
            mass=float(mass[position]),
            corner=float(corner[position]),
            depth=float(depth[position]),
            axis=float(atlas.axis_explained[position, 0]),
            bimodality=float(atlas.bimodality[position]),
            findings=findings[int(ids[position])],
        )
        for position in np.flatnonzero(count)
    ]


def _ends(accuracy: float, labelled: int, level: float) -> tuple[float, float]:
    right = round(accuracy * labelled) if labelled else 0
    return Rate(int(right), int(labelled), level).interval


def with_folders(
    classes: Sequence[ClassFacts], uris: Mapping[int, Sequence[str]]
) -> tuple[ClassFacts, ...]:
    """Return the classes with the folders of their images; ``uris`` are some of each, by class."""
    found = {}
    for fact in classes:
        folders = {PurePosixPath(uri).parent.name for uri in uris.get(fact.id, ())}
        found[fact.id] = folders.pop() if len(folders) == 1 else ""
    several = Counter(found.values())
    return tuple(
        replace(fact, folder=found[fact.id] if several[found[fact.id]] == 1 else "")
        for fact in classes
    )
