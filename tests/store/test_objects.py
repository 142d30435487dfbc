from pathlib import Path

import pytest

from pipeline.errors import FlowatlasError
from pipeline.store.objects import delete, exists, open_store, read, sizes, write, write_once


def test_objects_come_and_go(tmp_path: Path) -> None:
    store = open_store(str(tmp_path / "new"), create=True)
    write(store, "a/b.json", b"12")
    assert read(store, "a/b.json") == b"12"
    assert sizes(store, "a") == {"a/b.json": 2}
    assert not write_once(store, "a/b.json", b"3")
    assert write_once(store, "a/c.json", b"3")
    delete(store, "a/b.json")
    delete(store, "a/b.json")
    assert (exists(store, "a/b.json"), exists(store, "a/c.json")) == (False, True)
    with pytest.raises(FileNotFoundError):
        read(store, "a/b.json")


def test_a_missing_run_says_how_to_compute_it(tmp_path: Path) -> None:
    with pytest.raises(FlowatlasError, match="flowatlas run"):
        open_store(str(tmp_path / "nowhere"))


def test_an_unknown_scheme_is_named() -> None:
    with pytest.raises(FlowatlasError, match="nonsense://"):
        open_store("nonsense://bucket/run")
