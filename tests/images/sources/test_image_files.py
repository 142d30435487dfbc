"""Folders are listed side by side, and the order is that of the paths."""

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from pipeline.images.sources.image_files import NOT_IMAGES, images_below
from pipeline.images.sources.leftovers import Leftover, Leftovers

names = st.text(st.sampled_from("ab-.é/"), min_size=1, max_size=8)


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
    found = list(images_below(str(root), lambda name: name.endswith(".jpg"), Leftovers()))
    assert [uri for uri, _ in found] == sorted(set(made))
    assert all((root / uri).stat().st_size == size for uri, size in found)


def test_many_folders_are_listed_completely(tmp_path: Path) -> None:
    for number in range(60):
        (tmp_path / f"{number:02d}" / "deep").mkdir(parents=True)
        (tmp_path / f"{number:02d}" / "deep" / "x.jpg").touch()
    found = [uri for uri, _ in images_below(str(tmp_path), lambda name: True, Leftovers())]
    assert found == [f"{number:02d}/deep/x.jpg" for number in range(60)]


def test_other_files_and_links_back_are_left_over(tmp_path: Path) -> None:
    for name in ("cat/a.jpg", "cat/deep/notes.txt", "cat/caf\udce9.xml", "words.txt", ".hidden"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "cat/up").symlink_to(tmp_path)
    left = Leftovers()
    found = images_below(str(tmp_path), lambda name: name.endswith(".jpg"), left)
    assert [uri for uri, _ in found] == ["cat/a.jpg"]
    assert left.found == (
        Leftover(NOT_IMAGES, 3, ("words.txt", "cat/caf\\xe9.xml", "cat/deep/notes.txt")),
        Leftover("links to a folder above them", 1, ("cat/up",)),
    )
