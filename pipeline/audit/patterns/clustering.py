"""Clusters of every class by where the model looks, and how far each image is from its class.

The class is the one that the flows explain: flows of different targets are not comparable.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from scipy.stats import fisher_exact

from pipeline.atlas import Atlas
from pipeline.audit.finding import SHOWN
from pipeline.audit.patterns.landmarks import choose_landmarks, flows_by_class, nearest
from pipeline.audit.patterns.spectral import spectrum
from pipeline.audit.stats.contrast import benjamini_hochberg
from pipeline.progress import Progress
from pipeline.store import Run

Float = NDArray[np.float64]

LEAST_LANDMARKS = 40
"""Landmarks from which a class is clustered."""


@dataclass
class Cluster:
    """Sums over one cluster: its images, those of ``known`` outcome, their flows.

    ``rows`` are its first wrong images.
    """

    images: int = 0
    known: int = 0
    wrong: int = 0
    total: Float = field(default_factory=lambda: np.zeros(1))
    rows: list[int] = field(default_factory=list)
    p: float = float("nan")
    q: float = float("nan")


@dataclass(frozen=True)
class ClusteredClass:
    """A class with its clusters, the largest first, and how far each of its images is from it."""

    class_id: int
    eigengap: float
    clusters: tuple[Cluster, ...]
    rows: NDArray[np.int64]
    distances: Float

    def rates(self, cluster: Cluster) -> tuple[float, float]:
        """Return the error rates of a cluster and of the rest of the class; NaN where unknown."""
        known = sum(item.known for item in self.clusters) - cluster.known
        wrong = sum(item.wrong for item in self.clusters) - cluster.wrong
        inside = cluster.wrong / cluster.known if cluster.known else float("nan")
        return inside, wrong / known if known else float("nan")

    @property
    def z(self) -> Float:
        """Robust z of the logarithm of the distances."""
        logs = np.log(np.maximum(self.distances, 1e-9))
        spread = 1.4826 * float(np.median(np.abs(logs - np.median(logs))))
        return (logs - np.median(logs)) / spread if spread > 0 else np.zeros(len(logs))


def cluster_classes(
    run: Run, atlas: Atlas, progress: Progress | None = None
) -> tuple[ClusteredClass, ...]:
    """Cluster the landmarks of every class; assign every image to the nearest one's cluster.

    ``progress`` counts the images.
    """
    landmarks = choose_landmarks(atlas)
    large = {c: item for c, item in landmarks.items() if len(item.rows) >= LEAST_LANDMARKS}
    spectra = {class_id: spectrum(item.maps) for class_id, item in large.items()}
    clusters = {c: tuple(Cluster() for _ in range(s.clusters)) for c, s in spectra.items()}
    rows: dict[int, list[NDArray[np.int64]]] = {class_id: [] for class_id in large}
    distances: dict[int, list[Float]] = {class_id: [] for class_id in large}
    for part in flows_by_class(run, atlas):
        if progress:
            progress.add(len(part.rows))
        if part.class_id not in large:
            continue
        place, distance = nearest(large[part.class_id], part.maps)
        rows[part.class_id].append(part.rows)
        distances[part.class_id].append(distance)
        for label, cluster in enumerate(clusters[part.class_id]):
            chosen = spectra[part.class_id].labels[place] == label
            cluster.images += int(chosen.sum())
            cluster.known += int((part.wrong[chosen] >= 0).sum())
            cluster.wrong += int((part.wrong[chosen] == 1).sum())
            cluster.total = cluster.total + part.maps[chosen].sum(0)
            first = part.rows[chosen & (part.wrong == 1)][: SHOWN - len(cluster.rows)]
            cluster.rows += first.tolist()
    found = tuple(
        ClusteredClass(
            class_id=class_id,
            eigengap=_gap(spectra[class_id].values, spectra[class_id].clusters),
            clusters=clusters[class_id],
            rows=np.concatenate(rows[class_id]),
            distances=np.concatenate(distances[class_id]),
        )
        for class_id in sorted(large)
    )
    _test(found)
    return found


def _gap(values: Float, clusters: int) -> float:
    return float(values[clusters] - values[clusters - 1]) if clusters < len(values) else 0.0


def _test(classes: Sequence[ClusteredClass]) -> None:
    """Test every cluster's errors against the rest of its class (Fisher), all in one family."""
    tested = [
        (own, cluster)
        for own in classes
        for cluster in own.clusters
        if len(own.clusters) > 1 and cluster.known
    ]
    for own, cluster in tested:
        known = sum(item.known for item in own.clusters) - cluster.known
        wrong = sum(item.wrong for item in own.clusters) - cluster.wrong
        inside = (cluster.wrong, cluster.known - cluster.wrong)
        counts = np.array([inside, (wrong, known - wrong)])
        cluster.p = float(fisher_exact(counts, alternative="greater").pvalue)
    q = benjamini_hochberg(np.array([cluster.p for _, cluster in tested]))
    for (_, cluster), value in zip(tested, q, strict=True):
        cluster.q = float(value)
