"""Every count in a sentence goes with its noun: nobody reads of ``1 images``."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.nouns import counted, part_of, plural

ROOT = Path(__file__).parents[1]
NOUNS = [
    *("actor", "archive", "box", "cell", "class", "column", "CPU", "embedding", "epoch", "error"),
    *("file", "finding", "folder", "frame", "GPU", "group", "image", "label", "layer", "map"),
    *("member", "node", "object", "output", "pair", "part", "pass", "pixel", "place", "receipt"),
    *("row", "second", "test", "thread", "token", "transplant", "unit", "value", "worker"),
]
WORDS = "|".join(plural(noun) for noun in NOUNS)
BEFORE = "(?:more |other |measured |forward |reference |near |wrong )?"
AFTER_A_VALUE = re.compile(rf" {BEFORE}(?:{WORDS})\b(?!/)")
IN_A_FORMAT = re.compile(rf"\{{[a-z_]+\}} {BEFORE}(?:{WORDS})\b")
IN_A_PAGE = re.compile(rf"\{{\{{(?! *\w+\.grid)[^{{}}]*\}}\}} {BEFORE}(?:{WORDS})\b")


@given(st.integers(0, 3_000_000), st.sampled_from(NOUNS))
def test_one_is_singular_and_everything_else_plural(count, noun):
    found = counted(count, noun)
    assert found == (f"1 {noun}" if count == 1 else f"{count:,} {plural(noun)}")
    assert part_of(count, count, noun).endswith(f"of {found}")


@pytest.mark.parametrize(
    ("count", "words"),
    [
        (1.0, "1 GPU"),
        (0.5, "0.5 GPUs"),
        (1024.0, "1,024 GPUs"),
        (0.9996, "1 GPU"),
        (3.98, "3.98 GPUs"),
    ],
)
def test_what_can_be_shared_has_fractions(count, words):
    assert counted(count, "GPU") == words


@pytest.mark.parametrize(
    ("noun", "many"),
    [("box", "boxes"), ("forward pass", "forward passes"), ("query", "queries"), ("key", "keys")],
)
def test_a_plural_is_regular(noun, many):
    assert plural(noun) == many


def _bare(path: Path) -> Iterator[str]:
    """Yield plurals after a value that may be 1: not a constant, and no side of ``14×14``."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Constant) and IN_A_FORMAT.search(str(node.value)):
            yield f"{node.lineno}: {node.value}"
        if not isinstance(node, ast.JoinedStr):
            continue
        before = ""
        for part in node.values:
            if isinstance(part, ast.FormattedValue):
                value = ast.unparse(part.value)
                before = "×" if before.endswith(("×", "× ")) else value
            else:
                text = str(part.value)  # type: ignore[attr-defined]
                counts = before not in ("", "×") and not before.isupper()
                if counts and AFTER_A_VALUE.match(text):
                    yield f"{node.lineno}: {{{before}}}{text}"
                before = text


def test_no_sentence_counts_without_the_function():
    found = [
        f"{path.relative_to(ROOT)}:{hit[:90]}"
        for room in ("pipeline", "jobs")
        for path in sorted((ROOT / room).rglob("*.py"))
        for hit in _bare(path)
    ]
    assert not found, "use pipeline.nouns.counted:\n" + "\n".join(found)


def test_no_page_counts_without_the_function():
    found = [
        f"{path.name}: {hit[0][:90]}"
        for path in sorted((ROOT / "pipeline/report/templates").glob("*.html"))
        for hit in IN_A_PAGE.finditer(path.read_text(encoding="utf-8"))
    ]
    assert not found, "use the filter counted:\n" + "\n".join(found)
