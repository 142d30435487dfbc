import numpy as np
import pytest

from pipeline.audit.compare.differing_images import IMAGES_SCHEMA, MOST, differing_images
from pipeline.audit.compare.shared_images import Pairs, flows_on, pair
from pipeline.store import Run
from tests.atlas.synthetic import synthetic_run


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> tuple[Run, Run]:
    """The same images; in the other run class 1 looks at a corner."""
    folder = tmp_path_factory.mktemp("runs")
    options = {"images": 120, "classes": 3, "seed": 1}
    return synthetic_run(folder / "one", **options), synthetic_run(
        folder / "other", **options, tag_class=1, tag_share=0.5
    )


def test_the_images_whose_flows_are_furthest_apart_come_first(runs: tuple[Run, Run]) -> None:
    one, other = runs
    pairs = pair(one, other)
    table = differing_images(one, other, pairs)
    assert table.schema == IMAGES_SCHEMA
    expected = np.sort(np.nan_to_num(pairs.jsd))[::-1][:MOST]
    np.testing.assert_allclose(table["jsd"].to_numpy(), expected)
    first = table.to_pylist()[0]
    at = pairs.rows.tolist().index(first["row"])
    for run, rows, name in ((one, pairs.rows, "flow"), (other, pairs.other_rows, "other_flow")):
        own = flows_on((first["height"], first["width"]), run, rows[at : at + 1])[0]
        np.testing.assert_allclose(first[name], own, rtol=1e-6)


def test_equal_runs_have_none(runs: tuple[Run, Run]) -> None:
    one, _ = runs
    assert len(differing_images(one, one, pair(one, one))) == 0


def test_of_two_methods_the_answers_decide(runs: tuple[Run, Run]) -> None:
    one, other = runs
    predicted = np.array([[0, 1, 2, 0], [0, 2, 1, 1]])
    right = np.array([[1, 0, 0, 1], [1, 1, 0, 0]])
    rows, far = np.arange(4), np.array([0.9, 0.1, 0.1, 0.1])
    pairs = Pairs(rows, rows, predicted[0], predicted, right, far, far)
    table = differing_images(one, other, pairs, same_method=False)
    assert table["row"].to_pylist() == [3, 1, 2]
    assert table["jsd"].null_count == 3
    assert table["answer"].to_pylist()[0] == one.spec.classes[0]
