import pytest

from pipeline.atlas import aggregate
from pipeline.audit.compare.overlap import require_disjoint
from pipeline.errors import ConfigError
from tests.atlas.synthetic import synthetic_run

CHOSEN = {
    "low": "corner_tl_flow <= 3 and row < 90",
    "high": "corner_tl_flow > 3",
    "late": "row >= 60",
    "named": 'uri == "class_1/00000001.png"',
}


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    run = synthetic_run(tmp_path_factory.mktemp("run"), images=128, tag_class=1, label_maps=True)
    for name, where in CHOSEN.items():
        aggregate(run, where=where, name=name, workers=1)
    aggregate(run, target="label", name="mirrored", workers=1)
    aggregate(run, workers=1)
    return run


def shared(run, one, other):
    status, row = (
        run.summary().to_table(columns=["status", "row"]).sort_by("row")[name].to_numpy()
        for name in ("status", "row")
    )
    return int(((status == 1) & (row >= one) & (row < other)).sum())


def test_atlases_that_share_no_image_pass(run):
    require_disjoint(run, run.atlas("low"), run.atlas("high"))


def test_the_shared_images_are_counted(run):
    with pytest.raises(ConfigError, match="where 'not"):
        require_disjoint(run, run.atlas("low"), run.atlas("late"))
    expected = shared(run, 60, 128)
    with pytest.raises(ConfigError, match=f"share {expected} images"):
        require_disjoint(run, run.atlas("late"), run.atlas())
    with pytest.raises(ConfigError, match="share 1 image"):
        require_disjoint(run, run.atlas("named"), run.atlas())


def test_the_two_targets_of_a_run_are_other_maps(run):
    require_disjoint(run, run.atlas(), run.atlas("mirrored"))
