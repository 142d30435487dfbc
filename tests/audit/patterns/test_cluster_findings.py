import numpy as np
import pytest

from pipeline.audit.patterns.cluster_findings import find_clusters
from pipeline.audit.patterns.clustering import Cluster, ClusteredClass

NAMES = ("cat", "dog")


def group(clusters, distances=(0.1, 0.2)):
    distances = np.array(distances)
    return ClusteredClass(1, 0.5, tuple(clusters), np.arange(len(distances)), distances)


def cluster(images, wrong, q):
    return Cluster(images, images, wrong, np.ones(4), list(range(wrong)), q, q)


def test_a_cluster_that_is_mostly_wrong_is_found():
    good, bad = cluster(200, 6, 1.0), cluster(40, 30, 1e-9)
    (found,) = find_clusters([group([good, bad])], NAMES)
    assert (found.kind, found.class_id, found.images) == ("cluster", 1, 40)
    assert (found.value, found.control) == (0.75, 0.03)
    assert "30 of 40 images" in found.sentence
    assert [row for row, _ in found.evidence] == list(range(30))


@pytest.mark.parametrize("bad", [cluster(40, 30, 0.1), cluster(40, 9, 1e-9), cluster(5, 5, 1e-9)])
def test_what_is_unsure_slight_or_tiny_is_not_found(bad):
    assert find_clusters([group([cluster(200, 6, 1.0), bad])], NAMES) == []
