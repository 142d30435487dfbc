"""Files are found by name, folder, glob and braces."""

from pathlib import Path

import pytest

from pipeline.errors import DatasetError
from pipeline.files.listing import find_files, is_pattern, list_files


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("a-1.tar", "a-2.tar", "b/a-3.tar", "b/c/x[1].tar", "b/n.txt", ".h/a-4.tar"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(name.encode())
    return tmp_path


@pytest.mark.parametrize(
    ("source", "root", "names"),
    [
        ("", "", ["a-1.tar", "a-2.tar", "b/a-3.tar", "b/c/x[1].tar"]),
        ("/b", "/b", ["a-3.tar", "c/x[1].tar"]),
        ("/a-1.tar", "", ["a-1.tar"]),
        ("/a-?.tar", "", ["a-1.tar", "a-2.tar"]),
        ("/*.tar", "", ["a-1.tar", "a-2.tar"]),
        ("/**.tar", "", ["a-1.tar", "a-2.tar", "b/a-3.tar", "b/c/x[1].tar"]),
        ("/*/a-[0-9].tar", "", ["b/a-3.tar"]),
        ("/{a-2,b/a-3}.tar", "", ["a-2.tar", "b/a-3.tar"]),
    ],
)
def test_every_way_to_name_files(folder: Path, source: str, root: str, names: list[str]) -> None:
    found_root, files = find_files(f"{folder}{source}", (".tar",))
    assert found_root == f"{folder}{root}"
    assert [file.uri for file in files] == names
    assert all((Path(found_root) / file.uri).stat().st_size == file.size for file in files)


@pytest.mark.parametrize("source", ["/none", "/none.tar", "/z*.tar", "/b/c/*.pq", "/{a-1,a-9}.tar"])
def test_what_is_not_there_is_an_error(folder: Path, source: str) -> None:
    with pytest.raises(DatasetError):
        find_files(f"{folder}{source}", (".tar",))


def test_a_version_follows_the_content(folder: Path) -> None:
    before = {file.uri: file.version for file in list_files(str(folder))}
    (folder / "a-1.tar").write_bytes(b"other!!")
    after = {file.uri: file.version for file in list_files(str(folder))}
    assert {uri for uri in before if before[uri] != after[uri]} == {"a-1.tar"}


@pytest.mark.parametrize("name", ["[v2] set", "{a}", "{0..1}", "what?", "a*"])
def test_what_exists_as_written_is_taken_as_written(tmp_path: Path, name: str) -> None:
    (tmp_path / name).mkdir()
    (tmp_path / name / "x.tar").touch()
    (tmp_path / f"{name}.tar").touch()
    for source in (f"{tmp_path}/{name}", f"{tmp_path}/{name}/x.tar", f"{tmp_path}/{name}.tar"):
        assert not is_pattern(source)
        found = [
            Path(root) / file.uri
            for root, files in [find_files(source, (".tar",))]
            for file in files
        ]
        assert found == [Path(source) / "x.tar" if source.endswith(name) else Path(source)]


def test_files_without_the_suffix_are_passed_over_aloud(folder: Path) -> None:
    others: list[str] = []
    find_files(str(folder), (".tar",), others.append)
    assert others == ["b/n.txt"]
