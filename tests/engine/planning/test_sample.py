from pathlib import Path

import pytest

from pipeline.engine import prepare
from pipeline.engine.planning.sample import Sample
from pipeline.store.reader import open_run
from tests.engine.datasets import small_config


@pytest.mark.parametrize(("most", "rows"), [(5, 5), (5, 12), (400, 40), (3, 70_000)])
def test_a_sample_repeats_images_that_are_spaced_over_the_run(
    tmp_path: Path, most: int, rows: int
) -> None:
    config = small_config(tmp_path)
    prepared = prepare(config)
    sample = Sample(config, prepared, most)
    assert len(sample) == min(most, 40)
    spec = sample.create(str(tmp_path / "sample"), rows, 4, flow={"precision": "bfloat16"})
    run = open_run(str(tmp_path / "sample"))
    assert (spec.rows, spec.unit_rows) == (rows, 4)
    assert run.config.flow.precision == "bfloat16"
    index = run.index_rows(0, rows)
    assert index["row"].to_pylist() == list(range(rows))
    uris = index["uri"].to_pylist()
    assert len(set(uris)) == len(sample)
    assert uris == [uris[row % len(sample)] for row in range(rows)]
