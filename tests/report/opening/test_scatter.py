import pytest

from pipeline.report.opening.scatter import BOTTOM, HEIGHT, TOP, class_scatter
from pipeline.report.pages.classes import rank_classes


def test_every_class_is_a_point_at_its_accuracy_and_its_measure(run):
    atlas = run.atlas("label")
    classes = rank_classes(atlas, ())
    found = class_scatter(atlas, classes)
    assert found.up == "accuracy"
    assert [point.fact for point in found.points] == list(classes)
    columns = [column for column, _ in found.measures]
    assert found.measures[found.chosen][0] == "centre_flow"
    for point in found.points:
        share = (HEIGHT - BOTTOM - point.y) / (HEIGHT - BOTTOM - TOP)
        assert share == pytest.approx(point.fact.accuracy, abs=0.001)
        for column, value in zip(columns, point.values, strict=True):
            own = atlas.column_mean(column)[point.fact.position]
            assert value == pytest.approx(own, rel=1e-3, abs=1e-9)
    shown = atlas.column_mean("centre_flow")
    ordered = sorted(found.points, key=lambda point: shown[point.fact.position])
    assert [point.x for point in ordered] == sorted(point.x for point in found.points)
    lowest = sorted(found.points, key=lambda point: point.up)[:3]
    flagged = [point for point in found.points if point.fact.findings][:3]
    assert {point.fact for point in found.points if point.named} == {
        point.fact for point in (*lowest, *flagged)
    }


def test_one_class_is_no_scatter(run):
    atlas = run.atlas("label")
    assert class_scatter(atlas, rank_classes(atlas, ())[:1]) is None
