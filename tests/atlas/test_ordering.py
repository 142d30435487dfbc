import pytest

from pipeline.atlas.ordering import order_of
from pipeline.errors import ConfigError
from tests.atlas.synthetic import synthetic_run


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return synthetic_run(tmp_path_factory.mktemp("run"), 40, 3, layers=2, unit_rows=16)


def ordered(run, where=None, by=None, per=None):
    return order_of(run, "atlas", ("label",), where, by, per, list(run.units), 1)


def test_groups_are_the_values_of_the_finished_units(run):
    assert ordered(run).tables.names == ("label",)
    order = ordered(run, by="correct", per="label")
    assert order.tables.values == ("false", "true")
    assert order.tables.cells == 2 * 3
    assert order.pooled == "atlas/pooled.zarr"


@pytest.mark.parametrize(
    ("by", "message"),
    [("colour", "no column"), ("gini_flow", "range of it"), ("split", "no values")],
)
def test_what_makes_no_groups_is_refused(run, by, message):
    with pytest.raises(ConfigError, match=message):
        ordered(run, by=by)
