"""Labels that do not mean the model's outputs, told from honest weak models."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.audit.faults.labels import judge_labels, label_sentence

NAMES = [f"class {letter}" for letter in "abcdefghijklmnopqrstuvwxyz"] * 50


def answered(
    seed: int, classes: int, images: int, accuracy: float, sibling: float = 0.0
) -> Counter[tuple[int, int]]:
    """Draw answers: right with ``accuracy``, else the next class, or any."""
    rng = np.random.default_rng(seed)
    counts = Counter[tuple[int, int]]()
    for label in range(classes):
        for _ in range(images):
            draw = rng.random()
            answer = int(rng.integers(classes))
            if draw < accuracy:
                answer = label
            elif draw < accuracy + sibling:
                answer = min(label ^ 1, classes - 1)
            counts[label, answer] += 1
    return counts


def relabelled(counts: Counter[tuple[int, int]], order: list[int]) -> Counter[tuple[int, int]]:
    moved = Counter[tuple[int, int]]()
    for (label, answer), images in counts.items():
        moved[order[label], answer] += images
    return moved


@settings(max_examples=200)
@given(
    st.integers(0, 2**32), st.integers(3, 30), st.integers(1, 60),
    st.floats(0.3, 1.0), st.floats(0.0, 0.3),
)  # fmt: skip
def test_an_honest_model_is_left_alone(
    seed: int, classes: int, images: int, accuracy: float, sibling: float
) -> None:
    sibling = min(sibling, 0.8 * accuracy, 1 - accuracy)
    fault = judge_labels(answered(seed, classes, images, accuracy, sibling))
    assert fault is None


@given(st.integers(0, 2**32), st.integers(4, 20), st.integers(20, 40), st.floats(0.8, 1.0))
def test_a_permutation_is_found_with_its_classes(
    seed: int, classes: int, images: int, accuracy: float
) -> None:
    order = np.roll(range(classes), 1).tolist()
    counts = answered(seed, classes, images, accuracy)
    fault = judge_labels(relabelled(counts, order))
    assert fault is not None
    assert len(fault.moved) >= 0.8 * classes
    assert all(move.label == order[move.output] for move in fault.moved)


def test_two_classes_that_were_swapped_are_named() -> None:
    counts = Counter({(label, label): 30 for label in range(10)})
    swapped = relabelled(counts, [1, 0, *range(2, 10)])
    fault = judge_labels(swapped)
    assert fault is not None
    assert label_sentence(fault, NAMES) == (
        "The label space looks permuted: all 30 images of “class a” are predicted “class b”, and "
        "of “class b” “class a”; accuracy is 80.0% of 300 images; check which output each class "
        "is (dataset.labels, dataset.classes) before you read on."
    )


def test_six_folders_on_the_first_outputs_of_many() -> None:
    counts = Counter({(label, 100 + 7 * label): 5 for label in range(6)})
    fault = judge_labels(counts)
    assert fault is not None
    assert fault.by_chance
    assert len(fault.moved) == 6
    sentence = label_sentence(fault, NAMES)
    assert sentence.startswith("Labels and outputs do not fit together: all 5 images of “class a”")
    assert "accuracy is 0.0% of 30 images, no better than chance (16.7%)" in sentence


def test_numbers_sorted_as_text_are_a_permutation() -> None:
    text = sorted(range(12), key=str)
    counts = Counter({(text.index(number), number): 20 for number in range(12)})
    fault = judge_labels(counts)
    assert fault is not None
    assert {move.label for move in fault.moved} == {n for n in range(12) if text[n] != n}


def test_a_class_missing_at_the_front_shifts_the_others() -> None:
    fault = judge_labels(Counter({(0, 1): 20, (1, 2): 20}))
    assert fault is not None
    assert [(move.label, move.output) for move in fault.moved] == [(0, 1), (1, 2)]


def test_a_class_that_is_never_the_answer_while_another_output_takes_it_all() -> None:
    counts = Counter({(label, label): 20 for label in range(8)} | {(8, 99): 20})
    fault = judge_labels(counts)
    assert fault is not None
    assert [(move.label, move.output) for move in fault.moved] == [(8, 99)]


def test_labels_drawn_by_lot_are_chance() -> None:
    rng = np.random.default_rng(0)
    counts = Counter(zip(*rng.integers(0, 10, (2, 2000)).tolist(), strict=True))
    fault = judge_labels(counts)
    assert fault is not None
    assert fault.by_chance
    assert not fault.moved
    assert "no better than chance" in label_sentence(fault, NAMES)


@pytest.mark.parametrize(
    "counts",
    [
        {},
        {(0, 0): 50},  # one class, all right
        {(0, 1): 1, (1, 0): 1, (2, 1): 1},  # three images prove nothing
        {(0, 0): 20, (1, 0): 20, (2, 2): 20},  # a class that another has swallowed
        {(0, 1): 12, (0, 0): 8, (1, 2): 12, (1, 1): 8, (2, 2): 20},  # a chain of siblings
        {(0, 5): 20, (1, 5): 20, **{(n, n): 20 for n in range(6, 20)}},  # one output for two
    ],
)
def test_these_are_no_fault(counts: dict[tuple[int, int], int]) -> None:
    assert judge_labels(counts) is None
