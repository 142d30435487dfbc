import pytest

from pipeline.atlas import aggregate
from pipeline.audit.patterns.cluster_findings import CLUSTERS_SCHEMA, clusters_table, find_clusters
from pipeline.audit.patterns.clustering import cluster_classes
from pipeline.audit.patterns.outliers import find_outliers
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


def test_clusters_of_a_clean_run_are_not_found(groups):
    assert find_clusters(groups, tuple("abcd")) == []
    assert find_outliers(groups, tuple("abcd")) == []
