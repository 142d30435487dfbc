import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.flows.references import neighbours
from pipeline.flows.references.neighbours import search, vote


def features(count, width=12, seed=0):
    return torch.randn(count, width, generator=torch.Generator().manual_seed(seed))


def nearest(wanted, members, k, exclude=None):
    return search(lambda part: wanted @ members[part].T, len(wanted), len(members), k, exclude)


@settings(max_examples=25, deadline=None)
@given(
    members=st.integers(1, 60),
    images=st.integers(1, 5),
    k=st.integers(1, 25),
    block=st.sampled_from([1, 7, 2**24]),
    excluding=st.booleans(),
    seed=st.integers(0, 50),
)
def test_the_search_is_exact_for_any_block(members, images, k, block, excluding, seed):
    # Signs only: similarities are whole numbers, so many are equal and ties must go by index.
    references, wanted = features(members, 4, seed).sign(), features(images, 4, seed + 1).sign()
    k = min(k, members)
    exclude = torch.arange(images) % members if excluding else None
    before, neighbours.BLOCK = neighbours.BLOCK, block
    try:
        similarity, index = nearest(wanted, references, k, exclude)
    finally:
        neighbours.BLOCK = before
    for row in range(images):
        exact = [float(member @ wanted[row]) for member in references]
        if exclude is not None:
            exact[int(exclude[row])] = -torch.inf
        order = sorted(range(members), key=lambda place: (-exact[place], place))[:k]
        assert index[row].tolist() == order
        assert similarity[row].tolist() == [exact[place] for place in order]


def test_memory_does_not_grow_with_the_members(monkeypatch):
    monkeypatch.setattr(neighbours, "BLOCK", 4 * 50)
    sizes = []
    top = neighbours._top
    monkeypatch.setattr(neighbours, "_top", lambda v, k: sizes.append(v.numel()) or top(v, k))
    nearest(features(4, seed=1), features(5000), k=20)
    assert max(sizes) <= 4 * (50 + 20)
    assert len(sizes) == 100


@pytest.mark.parametrize("temperature", [1e-4, 0.07, 5.0])
def test_votes_are_summed_by_label_at_any_temperature(temperature):
    similarity = features(6, 9).sort(dim=1, descending=True).values
    labels = torch.arange(54).view(6, 9) % 4
    logits = vote(similarity, labels, 4, temperature)
    for row in range(6):
        mine = [similarity[row, labels[row] == label].double() / temperature for label in range(4)]
        wanted = torch.stack([part.logsumexp(0) for part in mine])
        cast = wanted > wanted.max() - 80  # further below is the floor
        torch.testing.assert_close(logits[row, cast].double(), wanted[cast], rtol=1e-5, atol=1e-4)
    assert logits.isfinite().all()


def test_a_label_without_votes_has_a_finite_floor():
    logits = vote(torch.tensor([[1.0, 0.5]]), torch.tensor([[0, 1]]), 4, 0.07)
    assert logits.isfinite().all()
    assert logits.argmax() == 0
    assert (logits[0, 2:] < logits[0, 0] - 80).all()


def test_votes_that_are_not_finite_do_not_count():
    nothing = vote(torch.full((1, 3), -torch.inf), torch.tensor([[0, 1, 1]]), 3, 0.07)
    assert nothing.isfinite().all()
    assert nothing.unique().numel() == 1
