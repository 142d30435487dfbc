import numpy as np
import pytest

from pipeline.atlas import aggregate
from pipeline.audit.patterns.cluster_findings import CLUSTERS_SCHEMA, clusters_table, find_clusters
from pipeline.audit.patterns.clustering import Cluster, ClusteredClass, cluster_classes
from pipeline.audit.patterns.outliers import OUTLIERS_SCHEMA, find_outliers, outliers_table
from tests.atlas.synthetic import draw, synthetic_run

NAMES = ("cat", "dog")


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    run = synthetic_run(
        tmp_path_factory.mktemp("run"), 800, 4, seed=6, layers=2, tag_class=2, tag_share=0.3
    )
    aggregate(run, tables=("label",), workers=1)
    return run


@pytest.fixture(scope="module")
def groups(run):
    return cluster_classes(run, run.atlas("label"))


def test_tagged_images_are_a_cluster_of_their_own(run, groups):
    tagged = draw(800, 4, 6, 2, (6, 6), 2, 0.3, 0.1).tagged
    group = groups[2]
    assert group.class_id == 2
    assert len(group.clusters) > 1
    sizes = [cluster.images for cluster in group.clusters]
    assert sum(sizes) == len(group.rows)
    corner = [cluster.total[0] / cluster.images for cluster in group.clusters]
    loud = [size for size, share in zip(sizes, corner, strict=True) if share > 0.05]
    ok = run.summary().to_table().to_pandas().set_index("row")["status"] == 1
    assert sum(loud) == pytest.approx(tagged[ok].sum(), abs=3)


def test_the_table_has_every_cluster(groups):
    table = clusters_table(groups, tuple("abcd")).to_pandas()
    assert table.groupby("class")["share"].sum().to_numpy() == pytest.approx(1)
    assert all(sum(row) == pytest.approx(1, abs=1e-4) for row in table["mean_map"])
    assert clusters_table((), ()).schema.equals(CLUSTERS_SCHEMA)


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
    assert "75 % of its 40 images" in found.sentence
    assert [row for row, _ in found.evidence] == list(range(30))


@pytest.mark.parametrize("bad", [cluster(40, 30, 0.1), cluster(40, 9, 1e-9), cluster(5, 5, 1e-9)])
def test_what_is_unsure_slight_or_tiny_is_not_found(bad):
    assert find_clusters([group([cluster(200, 6, 1.0), bad])], NAMES) == []


def test_clusters_of_a_clean_run_are_not_found(groups):
    assert find_clusters(groups, tuple("abcd")) == []
    assert find_outliers(groups, tuple("abcd")) == []


def test_an_image_far_outside_is_found():
    rng = np.random.default_rng(0)
    distances = np.append(0.05 * np.exp(0.1 * rng.standard_normal(200)), 0.9)
    (found,) = find_outliers([group([cluster(201, 0, 1)], distances)], NAMES)
    assert (found.kind, found.images, found.evidence) == ("outlier", 1, ((200, 0.9),))
    assert found.value == 0.9
    table = outliers_table([group([cluster(201, 0, 1)], distances)], NAMES)
    assert table.schema.equals(OUTLIERS_SCHEMA)
    assert table["row"][0].as_py() == 200
    assert table["class_name"][0].as_py() == "dog"
