"""What lies beside the images is counted and named."""

from pathlib import Path

from pipeline.images.sources.image_files import NOT_IMAGES, images_below
from pipeline.images.sources.leftovers import Leftover, Leftovers


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
