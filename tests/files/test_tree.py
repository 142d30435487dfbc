"""Folders are listed side by side, and the order is that of the paths."""

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from pipeline.files.tree import files_below, is_system, nearest_below

names = st.text(st.sampled_from("ab-.é/"), min_size=1, max_size=8)


def listed(root: Path) -> list[tuple[str, int | None]]:
    """Return the ``.jpg`` files below a folder."""
    return list(files_below(str(root), lambda name: name.endswith(".jpg"), print, print, print))


@given(st.sets(names, max_size=12))
def test_any_tree_is_listed_like_its_sorted_paths(tmp_path_factory, wanted: set[str]) -> None:
    root = tmp_path_factory.mktemp("tree")
    made = []
    for name in wanted:
        parts = [part for part in name.split("/") if part.strip(".")]
        if not parts or any(part.startswith(".") for part in parts):
            continue
        path = root.joinpath(*parts[:-1], parts[-1] + ".jpg")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(b"1" * len(name))
        except OSError:
            continue
        made.append(str(path.relative_to(root)))
    found = listed(root)
    assert [uri for uri, _ in found] == sorted(set(made))
    assert all((root / uri).stat().st_size == size for uri, size in found)


def test_many_folders_are_listed_completely(tmp_path: Path) -> None:
    for number in range(60):
        (tmp_path / f"{number:02d}" / "deep").mkdir(parents=True)
        (tmp_path / f"{number:02d}" / "deep" / "x.jpg").touch()
    found = [uri for uri, _ in listed(tmp_path)]
    assert found == [f"{number:02d}/deep/x.jpg" for number in range(60)]


def test_the_nearest_file_says_where_a_folder_holds_some(tmp_path: Path) -> None:
    for name in (
        "here/a.jpg",
        "deep/er/a.jpg",
        "none/a.txt",
        "none/.git/a.jpg",
        "none/@eaDir/a.jpg",
    ):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "none/up").symlink_to(tmp_path)
    found = {
        name: nearest_below(str(tmp_path / name), lambda file: file.endswith(".jpg"))
        for name in ("here", "deep", "none")
    }
    assert found == {"here": "here", "deep": "deeper", "none": "nowhere"}


def test_hidden_and_system_folders_are_named_and_not_looked_into(tmp_path: Path) -> None:
    for folder in ("cat", ".git", "__MACOSX", "cat/lost+found", "cat/.ipynb_checkpoints"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "a.jpg").touch()
    passed: list[str] = []
    found = list(files_below(str(tmp_path), lambda name: True, print, print, passed.append))
    assert [uri for uri, _ in found] == ["cat/a.jpg"]
    assert passed == [".git", "__MACOSX", "cat/.ipynb_checkpoints", "cat/lost+found"]
    assert is_system(".DS_Store")
    assert not is_system("cat")
