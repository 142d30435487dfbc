"""Brace expressions name files."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import ConfigError
from pipeline.files.braces import expand


def test_ranges_keep_their_width() -> None:
    assert expand("a/v-{008..011}.tar") == [f"a/v-{n:03d}.tar" for n in range(8, 12)]
    assert expand("v-{8..11}") == ["v-8", "v-9", "v-10", "v-11"]
    assert expand("no braces") == ["no braces"]


def test_several_braces_give_every_combination() -> None:
    assert expand("{train,val}-{0..1}.tar") == [
        "train-0.tar",
        "train-1.tar",
        "val-0.tar",
        "val-1.tar",
    ]


@given(st.integers(0, 10**6), st.integers(0, 50), st.integers(1, 8))
def test_every_number_is_named_once(first: int, more: int, width: int) -> None:
    names = expand(f"{{{first:0{width}d}..{first + more:0{width}d}}}")
    assert [int(name) for name in names] == list(range(first, first + more + 1))


@pytest.mark.parametrize(
    "pattern",
    ["{0..1", "0..1}", "{{0..1}}", "{}", "{a}", "{2..1}", "{0..9999999}", "{0..9999}" * 2],
)
def test_what_names_nothing_is_refused(pattern: str) -> None:
    with pytest.raises(ConfigError):
        expand(pattern)
