import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from pipeline.flows.references.episode import episode

LABELS = torch.tensor([0, 5, 5, 0, 2, 2, 2, 0, 5, 5])


def test_everything_is_the_default() -> None:
    assert episode(LABELS).tolist() == list(range(10))


@given(st.integers(1, 3), st.integers(1, 3), st.integers(0, 1000))
def test_an_episode_has_as_many_classes_and_images_as_asked(
    n_way: int, k_shot: int, seed: int
) -> None:
    drawn = episode(LABELS, n_way, k_shot, seed)
    classes, counts = LABELS[drawn].unique(return_counts=True)
    assert len(classes) == n_way
    assert counts.tolist() == [k_shot] * n_way
    assert drawn.tolist() == sorted(set(drawn.tolist()))
    assert torch.equal(drawn, episode(LABELS, n_way, k_shot, seed))
    everyone = episode(LABELS, None, k_shot, seed).tolist()
    assert set(drawn.tolist()) <= set(everyone)


def test_seeds_draw_differently() -> None:
    drawn = {tuple(episode(LABELS, 2, 1, seed).tolist()) for seed in range(50)}
    assert len(drawn) > 10


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"n_way": 4}, "references have 3 classes"),
        ({"n_way": 0}, r"use 1 … 3"),
        ({"k_shot": 4}, "class 0 has only 3"),
        ({"k_shot": 0}, "k_shot is 0"),
    ],
)
def test_what_cannot_be_drawn_is_told(options: dict[str, int], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        episode(LABELS, **options)
