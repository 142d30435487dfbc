"""Folders are listed side by side, and the order is that of the paths."""

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from pipeline.files.tree import files_below

names = st.text(st.sampled_from("ab-.é/"), min_size=1, max_size=8)


def listed(root: Path) -> list[tuple[str, int | None]]:
    """Return the ``.jpg`` files below a folder."""
    return list(files_below(str(root), lambda name: name.endswith(".jpg"), print, print))


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
