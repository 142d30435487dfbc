"""Tables of pairs that fit a dataset or do not, and nearest neighbours."""

from pathlib import Path

import numpy as np
import pytest

from pipeline.audit.pairs.choice import listed_pairs, name_of, nearest_pairs
from pipeline.engine import run_flows
from pipeline.errors import ConfigError, DatasetError
from pipeline.store import Run, open_run
from tests.engine.datasets import small_config


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    config = small_config(
        tmp_path_factory.mktemp("run"), flow={"method": "activation", "features": True}
    )
    run_flows(config)
    return open_run(config.run)


def written(folder: Path, *lines: str) -> str:
    path = folder / "pairs.csv"
    path.write_text("\n".join(lines) + "\n")
    return str(path)


def test_pairs_are_rows_however_their_images_are_written(run, tmp_path):
    uris = run.index()["uri"].to_pylist()
    absolute = f"{run.spec.root}/{uris[3]}"
    table = written(
        tmp_path, "Gallery,note,query", f"{uris[2]},x,{uris[0]}", f"./{uris[0]},y,{absolute}"
    )
    assert listed_pairs(run, table) == ((0, 2), (3, 0))


def test_images_that_are_not_in_the_dataset_are_counted_and_named(run, tmp_path):
    uri = run.index()["uri"].to_pylist()[0]
    gone = [f"{uri},gone-{number}.png" for number in range(5)]
    table = written(tmp_path, "query,gallery", *gone, f"../up.png,{uri}")
    with pytest.raises(DatasetError) as refused:
        listed_pairs(run, table)
    message = str(refused.value)
    assert message.startswith(f"6 of 7 images of {table} are not in the dataset")
    assert "'gone-0.png', 'gone-1.png', 'gone-2.png' and 3 more" in message


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        (("a,b", "x,y"), "has the columns 'a', 'b'; a table of pairs needs query and gallery"),
        (("query,gallery",), "has no rows"),
    ],
)
def test_a_table_without_pairs_is_refused(run, tmp_path, lines, said):
    with pytest.raises(DatasetError, match=said):
        listed_pairs(run, written(tmp_path, *lines))


def test_a_table_that_does_not_exist_is_refused(run, tmp_path):
    with pytest.raises(DatasetError, match="there is no table"):
        listed_pairs(run, str(tmp_path / "no.csv"))


def test_neighbours_are_the_nearest_other_usable_images_by_cosine(run):
    pairs = nearest_pairs(run, 6)
    assert len(pairs) == 6
    features = np.asarray(run.features[:]).astype(np.float64)
    usable = np.flatnonzero(np.asarray(run.status[:]) == 1)
    features /= np.linalg.norm(features, axis=1, keepdims=True)
    for query, other in pairs:
        near = {row: features[query] @ features[row] for row in usable if row != query}
        assert near[other] == pytest.approx(max(near.values()), abs=1e-6)
    assert nearest_pairs(run, 3) == pairs[:3]


def test_neighbours_need_stored_embeddings(tmp_path):
    config = small_config(tmp_path, flow={"method": "activation"})
    run_flows(config)
    with pytest.raises(ConfigError, match=r"give a table of pairs, or .* flow\.features: true"):
        nearest_pairs(open_run(config.run), 3)


def test_a_name_is_plain_whatever_the_file_is_called():
    assert name_of("/data/twins.csv") == "twins"
    assert name_of("s3://bucket/a b/../same class.v2.parquet") == "same-class.v2"
    assert name_of("..csv") == "pairs"
