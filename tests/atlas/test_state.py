import numpy as np

from pipeline.atlas import aggregate, state
from pipeline.atlas.statistics.membership import segments
from pipeline.atlas.statistics.sums import ClassSums
from tests.atlas.synthetic import synthetic_run

LIMIT = 0.5


class Uneven:
    """A statistic of the tests' own: how many images of a class have an uneven flow."""

    def empty(self, cells):
        return {"uneven": ClassSums(cells, {"images": ()})}

    def add(self, sums, block):
        members = block.members
        images, cells, bounds = segments(members, members.ok)
        high = (block.values("gini_flow") > LIMIT)[images]
        sums["uneven"].admit(np.repeat(cells, np.diff(bounds)))
        np.add.at(sums["uneven"]["images"], np.repeat(cells, np.diff(bounds)), high)

    def write(self, sums, tables, threads):
        found = [sums["uneven"].composed("images", table.parts) for table in tables]
        for table, images in zip(tables, found, strict=True):
            table.write("uneven", images, ("class",))
        return lambda: [{"uneven": images} for images in found]


def test_sums_of_all_statistics_have_names_of_their_own(tmp_path):
    run = synthetic_run(tmp_path, 16, 2, layers=2)
    names = [name for each in state.statistics_of(run.spec).every for name in each.empty(2)]
    assert sorted(names) == sorted(state.empty(run.spec, 2))


def test_a_new_statistic_is_folded_and_written_where_it_is_listed_and_nowhere_else(
    tmp_path, monkeypatch
):
    listed = state.statistics_of

    def and_one_more(spec):
        known = listed(spec)
        return state.Statistics(known.covariance, known.flows, (*known.summary, Uneven()))

    run = synthetic_run(tmp_path, 120, 3, layers=2, unit_rows=16)
    monkeypatch.setattr(state, "statistics_of", and_one_more)
    aggregate(run, workers=2, k=2)
    images = run.summary().to_table(columns=["label", "status", "gini_flow"]).to_pandas()
    images = images[images.status == 1]
    expected = (images.gini_flow > LIMIT).groupby(images.label).sum().tolist()
    assert run.table("atlas/label.parquet")["uneven"].to_pylist() == expected
    assert 0 < sum(expected) < len(images)
