"""Every reason is explained wherever people meet it."""

import pickle
import re
from pathlib import Path

import pyarrow as pa
import pytest

from pipeline.images.reasons import Reason, explain, listed

README = Path(__file__).resolve().parents[2] / "README.md"


@pytest.mark.parametrize("reason", Reason)
def test_a_reason_is_stored_as_its_word_and_explained_by_it(reason: Reason) -> None:
    assert str(reason) == reason.value == reason
    assert pa.array([reason], pa.string()).to_pylist() == [str(reason)]
    assert re.fullmatch(r"[A-Z].+\.", explain(str(reason)))
    assert pickle.loads(pickle.dumps(reason)) is reason


def test_the_readme_lists_every_reason_and_no_other() -> None:
    text = README.read_text(encoding="utf-8")
    section = text.partition("### What happens to bad images")[2].partition("\n#")[0]
    assert set(re.findall(r"`([a-z_]+)`", section)) == set(Reason)


def test_a_reason_of_another_version_is_shown_without_a_sentence() -> None:
    assert explain("something_new") == ""


def test_a_count_names_the_option_that_a_reason_asks_for() -> None:
    text = listed({"empty": 1200, "bit_depth": 3, "bomb": 1})
    assert text.startswith("1,200 empty, 3 bit_depth, 1 bomb; bit_depth: ")
    assert "dataset.bit_depth" in text
    assert "limits.max_pixels" in text
    assert listed({}) == ""
