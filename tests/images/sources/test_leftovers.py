"""What a source does not use is counted and named."""

import json
from dataclasses import asdict

from hypothesis import given
from hypothesis import strategies as st

from pipeline.images.sources.leftovers import Leftover, Leftovers


@given(st.lists(st.tuples(st.sampled_from("abc"), st.text("x/", max_size=5)), max_size=30))
def test_everything_is_counted_and_the_shallowest_are_named(added: list[tuple[str, str]]) -> None:
    leftovers = Leftovers()
    for what, name in added:
        leftovers.add(what, name)
    for leftover in leftovers.found:
        names = [name for what, name in added if what == leftover.what]
        assert leftover.count == len(names)
        assert list(leftover.names) == sorted(names, key=lambda name: name.count("/"))[:3]
    assert sum(leftover.count for leftover in leftovers.found) == len(added)
    assert Leftovers(leftovers.found).found == leftovers.found
    back = [Leftover.from_json(json.loads(json.dumps(asdict(one)))) for one in leftovers.found]
    assert tuple(back) == leftovers.found


def test_one_line_escapes_hostile_names() -> None:
    leftover = Leftover("files", 1234, ("\x1b[2J", "b"))
    assert str(leftover) == "files: 1,234 ('\\x1b[2J', 'b', …)"
    assert str(Leftover("files", 1, ("a",))) == "files: 1 ('a')"
    assert str(Leftover("rows", 3)) == "rows: 3"


def test_memory_does_not_grow_with_hostile_kinds() -> None:
    leftovers = Leftovers()
    for number in range(1000):
        leftovers.add(f"kind {number}", "n" * 1000)
    assert len(leftovers.found) <= 33
    assert sum(one.count for one in leftovers.found) == 1000
    assert max(len(name) for one in leftovers.found for name in one.names) == 80
