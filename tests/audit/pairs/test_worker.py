"""Pairs in units: what is interrupted continues, with the same bytes."""

import pytest

from pipeline.audit.pairs.explain import Options, explain_pairs
from pipeline.audit.pairs.schema import FOLDER
from pipeline.engine import LocalEngine


@pytest.mark.parametrize("similarity", ["cosine", "dot"])
def test_a_unit_that_is_interrupted_leaves_nothing_half_done(trained, tmp_path, similarity):
    uris = trained.index()["uri"].to_pylist()
    table = tmp_path / f"broken-{similarity}.csv"
    table.write_text("query,gallery\n" + "\n".join(f"{uris[n]},{uris[n + 1]}" for n in range(9)))
    options = Options(layer="blocks.1", similarity=similarity, most_steps=4)
    reached = []

    def stop(done: int, of: int) -> None:
        reached.append(done)
        if done == 1:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        explain_pairs(trained, str(table), LocalEngine(), options, stop)
    name = f"{FOLDER}/broken-{similarity}"
    assert not trained.exists(f"{name}.parquet")
    kept = {path: trained.read(path) for path in trained.list(f"{name}/")}
    assert kept
    done = []
    explain_pairs(trained, str(table), LocalEngine(), options, lambda *n: done.append(n))
    assert done[0][0] == len(kept)
    whole = trained.read(f"{name}.parquet")
    assert all(trained.read(path) == content for path, content in kept.items())
    for path in trained.list(f"{name}/"):
        trained.delete(path)
    explain_pairs(trained, str(table), LocalEngine(), options)
    assert trained.read(f"{name}.parquet") == whole
