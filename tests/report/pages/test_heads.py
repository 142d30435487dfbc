import numpy as np
import pyarrow.compute as pc
import pytest

from pipeline.atlas import aggregate, open_atlas
from pipeline.measures.heads import HEAD_STATISTICS
from pipeline.report.pages.heads import heads_table, matrix_of, read_heads
from tests.report.reported import HOSTILE, drawn_run


def test_a_matrix_is_read_back_from_its_text_and_leaves_out_what_no_head_has():
    rng = np.random.default_rng(0)
    values = rng.random((3, 2, len(HEAD_STATISTICS)))
    values[:, :, 1] = np.nan
    values[2, 1] = np.nan
    matrix = matrix_of(values)
    names = list(HEAD_STATISTICS)
    assert matrix.statistics == (*names[:1], *names[2:])
    for name, text in zip(matrix.statistics, matrix.values.split(";"), strict=True):
        rows = [[float(v) / 1000 if v else np.nan for v in row.split(",")] for row in text.split()]
        np.testing.assert_allclose(rows, values[:, :, names.index(name)], atol=5.1e-4)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    run = drawn_run(tmp_path_factory.mktemp("heads") / "run", images=160, heads=2)
    aggregate(run, tables=["label"], k=2)
    return run


def test_the_page_shows_the_means_of_all_images_and_what_a_class_differs_in(run):
    heads = read_heads(run, open_atlas(run, "label"))
    stored, ok = run.heads[:].astype(float), run.status[:] == 1
    np.testing.assert_allclose(heads.overall, stored[ok].mean(0), atol=1e-6)
    labels = np.array(run.summary().to_table(columns=["label"])["label"].to_pylist())
    sentence = heads.remarkable(3)[0]
    assert "blocks.1, head 0: self" in sentence, "class 3 is drawn with that head on itself"
    own = stored[ok & (labels == 3)].mean(0)
    assert f"self {own[1, 0, 4]:.2f}, {stored[ok].mean(0)[1, 0, 4]:.2f} in all" in sentence
    table = heads_table(heads)
    assert len(table) == 4 * 2
    assert table["group"].null_count == 0
    assert sum(group.heads for group in heads.listed()) == 8
    first = table.filter(pc.field("layer") == "blocks.0")["entropy"].to_pylist()
    np.testing.assert_allclose(first, stored[ok].mean(0)[0, :, 0], atol=1e-6)
    assert HOSTILE in run.spec.classes


def test_a_run_without_heads_has_no_page(tmp_path):
    run = drawn_run(tmp_path / "run", images=80)
    aggregate(run, tables=["label"], k=2)
    assert read_heads(run, open_atlas(run, "label")) is None
