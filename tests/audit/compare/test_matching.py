import pytest

from pipeline.atlas import aggregate
from pipeline.audit.compare.matching import matched, matched_classes
from tests.atlas.synthetic import synthetic_run


@pytest.fixture(scope="module")
def atlases(tmp_path_factory):
    found = {}
    for layers in (2, 6):
        run = synthetic_run(tmp_path_factory.mktemp("run"), images=64, layers=layers)
        aggregate(run, workers=1)
        found[layers] = run.atlas()
    return found


def test_layers_are_matched_by_depth(atlases):
    plain, deep = atlases[2], atlases[6]
    pairs = {c.name: c.other for c in matched(plain, deep, same_layers=False)}
    assert (pairs["mass_l00"], pairs["mass_l01"]) == ("mass_l01", "mass_l04")
    assert pairs["mass_flow"] == "mass_flow"
    back = {c.name: c.other for c in matched(deep, plain, same_layers=False)}
    assert [back[f"gini_l{b:02d}"] for b in range(6)] == ["gini_l00"] * 3 + ["gini_l01"] * 3


def test_classes_of_one_name_are_matched_in_their_order():
    here, there = matched_classes(("crane", "owl", "crane", "newt"), ("newt", "crane", "crane"))
    assert here.tolist() == [0, 2, 3]
    assert there.tolist() == [1, 2, 0]
