import pytest

from pipeline.audit.run import CLUSTERS
from pipeline.report.pages.clusters import read_clusters
from tests.report.reported import drawn_run


def test_classes_with_more_than_one_cluster_have_a_map_of_each(run, report):
    table = run.table(CLUSTERS)
    sizes = dict.fromkeys(table["class"].to_pylist(), 0)
    for number in table["class"].to_pylist():
        sizes[number] += 1
    found = read_clusters(run)
    assert {n: len(c.parts) for n, c in found.items()} == {n: k for n, k in sizes.items() if k > 1}
    for number, clusters in found.items():
        assert clusters.film.columns == len(clusters.parts)
        assert sum(part.share for part in clusters.parts) == pytest.approx(1)
        assert (report / f"assets/classes/{number}-clusters.webp").is_file()
        assert "<h2>Clusters</h2>" in (report / f"classes/{number}.html").read_text()


def test_a_run_whose_audit_made_no_clusters_has_none(tmp_path):
    assert read_clusters(drawn_run(tmp_path / "run", images=16)) == {}
