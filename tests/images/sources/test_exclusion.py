"""Patterns of what is left out."""

import pytest

from pipeline.config import DatasetConfig
from pipeline.errors import ConfigError
from pipeline.images.sources.exclusion import Exclusion
from pipeline.images.sources.kind import open_source


@pytest.mark.parametrize(
    ("pattern", "out", "used"),
    [
        ("*_mask.png", ["1_mask.png", "cat/deep/1_mask.png"], ["1.png", "1_mask.png/1.jpg"]),
        ("masks/**", ["masks/1.png", "masks/a/1.png"], ["cat/masks/1.png", "masks.png"]),
        ("**/masks/**", ["cat/masks/1.png"], ["masks/1.png", "cat/1.png"]),
        ("*/thumbs/*", ["cat/thumbs/1.png"], ["cat/thumbs/a/1.png", "thumbs/1.png"]),
        ("[v2]*", ["v1.png", "cat/2.png"], ["1.png"]),
    ],
)
def test_a_pattern_fits_whole_paths(pattern: str, out: list[str], used: list[str]) -> None:
    exclusion = Exclusion((pattern,))
    assert [uri for uri in (*out, *used) if exclusion(uri)] == out


def test_only_a_whole_folder_is_left_out_as_one() -> None:
    exclusion = Exclusion(("masks/**", "cat/*.png"))
    assert exclusion.folder("masks")
    assert not exclusion.folder("cat")
    assert not exclusion.folder("images")


def test_an_empty_choice_is_a_choice() -> None:
    assert Exclusion(()).chosen
    assert not Exclusion(None).chosen


def test_a_pattern_that_cannot_be_read_is_named() -> None:
    with pytest.raises(ConfigError, match=r"'\[z-a\]' is not valid"):
        Exclusion(("[z-a]",))("a")


def test_rows_of_tables_are_not_left_out_by_pattern(tmp_path) -> None:
    table = tmp_path / "rows.csv"
    table.write_text("uri,label\n1.png,0\n")
    with pytest.raises(ConfigError, match=r"dataset\.exclude is for folders and archives"):
        open_source(DatasetConfig(source=str(table), exclude=("*.png",)))
