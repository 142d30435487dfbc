"""Pairs of a trained model's images: what is stored, and what is computed again."""

from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from pipeline.audit.pairs.explain import Options, explain_pairs, summary
from pipeline.audit.pairs.plan import UNIT
from pipeline.audit.pairs.schema import FOLDER, PAIRS_SCHEMA
from pipeline.engine import LocalEngine
from pipeline.errors import ConfigError

OPTIONS = Options(layer="blocks.0", strongest=5, most_steps=36)


@pytest.fixture(scope="module")
def table(trained, tmp_path_factory) -> str:
    """Six pairs, two units: an image and itself first, and one image twice."""
    uris = trained.index()["uri"].to_pylist()
    pairs = [(0, 0), (0, 1), (2, 3), (4, 5), (6, 7), (0, 7)]
    path = tmp_path_factory.mktemp("tables") / "few.csv"
    path.write_text("query,gallery\n" + "\n".join(f"{uris[a]},{uris[b]}" for a, b in pairs))
    return str(path)


@pytest.fixture(scope="module")
def explained(trained, table):
    done = []
    plan, found = explain_pairs(
        trained, table, LocalEngine(), OPTIONS, lambda *counts: done.append(counts)
    )
    return plan, found, done


def test_the_table_has_a_row_for_every_pair_in_order(trained, explained):
    plan, found, done = explained
    assert found.schema.equals(PAIRS_SCHEMA)
    assert trained.table(f"{FOLDER}/few.parquet").equals(found)
    assert found["pair"].to_pylist() == [0, 1, 2, 3, 4, 5]
    assert list(zip(found["query"].to_pylist(), found["gallery"].to_pylist(), strict=True)) == list(
        plan.pairs
    )
    assert done == [(0, 2), (1, 2), (2, 2)]
    assert UNIT < 6


def test_the_numbers_of_a_row_belong_together(explained):
    for row in explained[1].to_pylist():
        left = row["query_reference"] + row["gallery_reference"] - row["references"]
        missing = abs(row["attributed"] + left - row["similarity"]) / abs(row["similarity"])
        assert row["error"] == pytest.approx(missing, rel=1e-6, abs=1e-9)
        assert row["complete"] == (row["error"] <= 0.01)
        cells = row["height"] * row["width"]
        assert len(row["query_map"]) == len(row["gallery_map"]) == cells
        assert row["values"] == sorted(row["values"], reverse=True)
        assert len(row["values"]) == 5
        shares = np.array(row["values"]) / row["positive"]
        assert np.allclose(row["shares"], shares, rtol=1e-5)
        assert row["positive"] >= row["patches"]
        assert row["reason"] is None
    same = explained[1].to_pylist()[0]
    assert same["similarity"] == pytest.approx(1, abs=1e-6)
    assert same["query_map"] == pytest.approx(same["gallery_map"], rel=1e-4, abs=1e-6)


def test_most_pairs_are_complete_and_the_summary_says_how_many(explained):
    plan, found, _ = explained
    complete = sum(found["complete"].to_pylist())
    assert complete >= 4
    first, second = summary(found, plan)
    assert first == "6 of 6 pairs explained at blocks.0"
    assert second.startswith(f"complete to 1.0% of the similarity: {complete} of 6 pairs")


def test_only_missing_units_are_computed_again_with_the_same_bytes(trained, table, explained):
    paths = trained.list(FOLDER)
    before = {path: trained.read(path) for path in paths}
    units = [path for path in paths if path.startswith(f"{FOLDER}/few/")]
    assert len(units) == 2
    trained.delete(units[1])
    done = []
    explain_pairs(trained, table, LocalEngine(), OPTIONS, lambda *counts: done.append(counts))
    assert done == [(1, 2), (2, 2)]
    assert {path: trained.read(path) for path in trained.list(FOLDER)} == before


def test_an_image_that_is_gone_is_a_reason_until_it_is_back(trained, table, explained):
    uri = trained.index()["uri"].to_pylist()[7]
    lost = Path(trained.uri).parent / "data/images" / uri
    away = lost.rename(lost.with_suffix(".away"))
    options = Options(layer="blocks.0", strongest=2, most_steps=4, tolerance=1.0)
    try:
        plan, found = explain_pairs(trained, table, LocalEngine(), options)
    finally:
        away.rename(lost)
    assert found["reason"].to_pylist() == [None] * 4 + ["missing"] * 2
    assert found["similarity"].to_pylist()[4:] == [None, None]
    assert summary(found, plan)[-1] == "2 not explained: missing"
    done = []
    explain_pairs(trained, table, LocalEngine(), options, lambda *counts: done.append(counts))
    assert done == [(1, 2), (2, 2)]  # only the unit that lacked an image


def test_nothing_starts_for_a_layer_that_does_not_exist(trained, table):
    before = trained.list(FOLDER)
    with pytest.raises(ConfigError, match=r"no module 'blocks\.99'"):
        explain_pairs(trained, table, LocalEngine(), Options(layer="blocks.99"))
    assert trained.list(FOLDER) == before


def test_the_file_is_small(trained, explained):
    path = Path(trained.uri) / f"{FOLDER}/few.parquet"
    assert pq.ParquetFile(path).metadata.num_rows == 6
