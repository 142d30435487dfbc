"""Names of a dataset and the outputs they mean."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.models import Outputs, Vocabulary, imagenet_outputs, order_is_clear
from pipeline.models.outputs.name_matching import normal

IMAGENET = Vocabulary(imagenet_outputs("m", 1000))
WORDS = st.text("abcdeé", min_size=1, max_size=6)


def _outputs(*names: str) -> Vocabulary:
    return Vocabulary(Outputs("m", len(names), names))


@pytest.mark.parametrize(
    ("name", "output"),
    [
        ("accordion", 401),
        ("piano accordion", 401),
        ("Squeeze_Box", 401),
        ("accordion, piano accordion, squeeze box", 401),
        ("n01440764", 0),
        ("n02113186-Cardigan", 264),
        ("n02085620_chihuahua", 151),
        ("great-white-shark", 2),
        ("ＴＥＮＣＨ", 0),
        ("7", 7),
        ("007", 7),
    ],
)
def test_a_name_means_the_output_that_goes_by_it(name: str, output: int) -> None:
    matching = IMAGENET.match([name])
    assert matching.matched == {name: output}
    assert matching.complete
    assert IMAGENET[name] == output


@pytest.mark.parametrize(
    ("name", "outputs"), [("crane", (134, 517)), ("maillot", (638, 639)), ("Cardigan", (264, 474))]
)
def test_what_may_mean_two_outputs_is_not_guessed(name: str, outputs: tuple[int, ...]) -> None:
    assert IMAGENET.match([name, "tench"]).ambiguous == {name: outputs}
    assert name not in IMAGENET


@pytest.mark.parametrize("name", ["airplanes", "1000", "-1", "n99999999", "", "²", "7th"])
def test_other_names_are_unknown(name: str) -> None:
    assert IMAGENET.match([name]).unknown == (name,)
    assert name not in IMAGENET


def test_a_number_among_words_is_not_an_output() -> None:
    assert IMAGENET.match(["tench", "7"]).unknown == ("7",)


def test_numbers_that_are_names_are_names() -> None:
    assert _outputs("10", "20", "2").match(["2", "10"]).matched == {"2": 2, "10": 0}
    assert _outputs("10", "20", "30").match(["2", "10"]).unknown == ("2",)


def test_two_names_of_one_output_are_not_guessed_unless_they_are_one_name() -> None:
    both = IMAGENET.match(["accordion", "squeeze box", "tench"])
    assert both.ambiguous == {"accordion": (401,), "squeeze box": (401,)}
    assert both.matched == {"tench": 0}
    assert IMAGENET.match(["Tench", "tench"]).matched == {"Tench": 0, "tench": 0}


def test_letter_by_letter_decides_where_it_does_for_all() -> None:
    letters = _outputs("A", "a", "B", "b")
    assert letters.match(["a", "B"]).matched == {"a": 1, "B": 2}
    assert letters.match(["a", "c"]).ambiguous == {"a": (0, 1)}


def test_imagenets_own_names_in_its_own_order_are_it() -> None:
    names = imagenet_outputs("m", 1000).names or ()
    matching = IMAGENET.match(names)
    assert matching.complete
    assert matching.in_order
    assert not IMAGENET.match([*names[1:], names[0]]).complete  # the cranes are not where they were
    renamed = [name if index % 25 else f"class of {index}" for index, name in enumerate(names)]
    assert IMAGENET.match(renamed).in_order
    assert not _outputs("a", "b", "c", "d").match(["a", "b", "c", "x"]).complete


def test_every_identifier_of_imagenet_is_matched_wherever_it_stands() -> None:
    identifiers = IMAGENET.outputs.identifiers
    assert IMAGENET.match(identifiers).in_order
    some = identifiers[::7]
    assert IMAGENET.match(some).matched == {name: 7 * n for n, name in enumerate(some)}


def test_accents_match_however_they_are_spelt() -> None:
    names = _outputs("café", "cafe")
    assert names.match([unicodedata.normalize("NFD", "café")]).complete
    assert names.match(["CAFÉ", "cafe"]).matched == {"CAFÉ": 0, "cafe": 1}


def test_close_names_are_offered() -> None:
    close = IMAGENET.close("airplanes")
    assert {404, 895} <= set(close)
    assert IMAGENET.close("Leopards")[0] == 288
    assert _outputs("x", "y").close("zzzzz") == []


@given(st.lists(WORDS, min_size=1, max_size=6), st.lists(WORDS, min_size=1, max_size=6))
def test_a_match_is_the_only_output_that_goes_by_the_name(
    theirs: list[str], names: list[str]
) -> None:
    vocabulary = _outputs(*theirs)
    names = list(dict.fromkeys(names))
    matching = vocabulary.match(names)
    assert {*matching.matched, *matching.ambiguous, *matching.unknown} == set(names)
    for name in names:
        by = [index for index, other in enumerate(theirs) if normal(other) == normal(name)]
        if name in matching.matched:
            assert matching.matched[name] in by
        if len(by) > 1 and theirs.count(name) != 1:
            assert name not in matching.matched or matching.in_order
        assert (name in matching.unknown) == (not by)
    in_order = [matching.matched.get(name) for name in names] == list(range(len(names)))
    assert matching.in_order == in_order


@given(st.permutations(range(20)), st.sampled_from([str.upper, str.title, str.lower]))
def test_the_order_of_the_names_does_not_matter(order: list[int], spelt) -> None:  # type: ignore[no-untyped-def]
    names = [f"animal {chr(97 + i)}" for i in range(20)]
    shuffled = [spelt(names[i]).replace(" ", "_") for i in order]
    assert list(_outputs(*names).match(shuffled).matched.values()) == order


@pytest.mark.parametrize(
    ("names", "clear"),
    [
        (["cat", "dog"], True),
        (["0", "1", "9"], True),
        (["00", "01", "10"], True),
        (["1", "2", "10"], False),
        (["class2", "class10"], False),
        (["class 2", "class2", "classy"], True),
        (["Cat", "cat"], False),
        (["a_b", "a b"], False),
        (["café", "cafz"], False),
        (["café", "dog"], True),
    ],
)
def test_an_order_is_clear_if_counting_and_spelling_do_not_change_it(
    names: list[str], clear: bool
) -> None:
    assert order_is_clear(names) is clear
    assert order_is_clear([unicodedata.normalize("NFD", name) for name in names]) is clear
