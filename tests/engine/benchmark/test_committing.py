from pathlib import Path

import pytest

from pipeline.engine.benchmark.committing import scratch
from pipeline.errors import ConfigError
from pipeline.store import open_store
from pipeline.store.objects import write


def test_what_is_written_beside_a_run_is_deleted_with_the_folders_made_for_it(
    tmp_path: Path,
) -> None:
    with scratch(str(tmp_path / "runs/pets")) as place:
        assert Path(place).parent == tmp_path / "runs"
        write(open_store(place), "a/b/c", b"content")
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "runs/pets").mkdir(parents=True)
    with pytest.raises(ZeroDivisionError), scratch(str(tmp_path / "runs/pets")):
        _ = 1 / 0
    assert [path.name for path in tmp_path.rglob("*")] == ["runs", "pets"]


def test_a_place_that_cannot_be_written_to_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with (
        pytest.raises(ConfigError, match="nothing can be written beside"),
        scratch(str(tmp_path / "file/run")),
    ):
        pass
