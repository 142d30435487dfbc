"""Units with images that cannot be read now."""

from pathlib import Path

from pipeline.audit.evaluation.evaluation import Options, evaluate
from pipeline.audit.sample import drawn_rows
from pipeline.engine import LocalEngine


def counted(table):
    return {
        row["map"]: row["images"]
        for row in table.to_pylist()
        if row["metric"] == "lift" and row["label"] is None and row["layer"] is None
    }


def test_an_image_that_is_gone_is_left_out_until_it_is_back(trained):
    options = Options(17, 0, ("rollout",))
    data = Path(trained.uri).parent / "data/images"
    row = drawn_rows(trained, 17)[3]
    (uri,) = trained.index_take([row])["uri"].to_pylist()
    lost = data / uri
    away = lost.rename(lost.with_suffix(".away"))
    reported, done = [], []
    try:
        table = evaluate(trained, LocalEngine(), options, reported.append)
    finally:
        away.rename(lost)
    assert set(counted(table).values()) == {16}
    assert any(line.startswith("1 of 17 images cannot be read now") for line in reported)
    table = evaluate(trained, LocalEngine(), options, on_progress=lambda *n: done.append(n))
    assert done == [(1, 2), (2, 2)]  # the other unit was kept
    assert set(counted(table).values()) == {17}
