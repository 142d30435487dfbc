import numpy as np
import pytest

from pipeline.report.pages import quantiles
from pipeline.report.pages.quantiles import Quantiles
from pipeline.store import Status


@pytest.mark.parametrize("column", ["mass_flow", "centre_flow", "convergence_depth"])
def test_quantiles_are_those_of_the_images(run, column):
    found = Quantiles(run, run.atlas("label"))
    assert found.exact
    table = run.summary().to_table().to_pandas()
    table = table[table.status == Status.OK]
    expected = table.groupby("label")[column].quantile([0.1, 0.5, 0.9]).unstack()
    values = found.of(column, 0.1, 0.5, 0.9)
    np.testing.assert_allclose(values[:, expected.index], expected.to_numpy().T, rtol=1e-6)
    assert (found.images(column)[expected.index] == table.groupby("label")[column].count()).all()


def test_of_too_many_images_they_are_those_of_the_histograms(run, monkeypatch):
    monkeypatch.setattr(quantiles, "MOST_EXACT", 10)
    found = Quantiles(run, run.atlas("label"))
    assert not found.exact
    expected = run.atlas("label").quantile("mass_flow", 0.5)
    np.testing.assert_array_equal(found.of("mass_flow", 0.5)[0], expected)
