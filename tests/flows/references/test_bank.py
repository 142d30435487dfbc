import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.flows import create_flow
from pipeline.flows.references import bank as module
from pipeline.flows.references.bank import Bank
from tests.flows import reference
from tests.flows.reference import channel_weights, photographs_like, see, small


def features(count, width=12, seed=0):
    return torch.randn(count, width, generator=torch.Generator().manual_seed(seed))


@settings(max_examples=25, deadline=None)
@given(
    members=st.integers(1, 60),
    images=st.integers(1, 5),
    k=st.integers(1, 25),
    block=st.sampled_from([1, 7, 2**24]),
    seed=st.integers(0, 50),
)
def test_nearest_is_exact_for_any_block(members, images, k, block, seed):
    # Signs only: cosines are exact multiples, so many are equal and ties must go by index.
    reference_set, wanted = features(members, 4, seed).sign(), features(images, 4, seed + 1).sign()
    before, module.BLOCK = module.BLOCK, block
    try:
        cosine, index = Bank(reference_set, torch.zeros(members).long(), k=k).nearest(wanted)
    finally:
        module.BLOCK = before
    for row in range(images):
        exact = [float(member @ wanted[row]) / 4 for member in reference_set]
        order = sorted(range(members), key=lambda place: (-exact[place], place))[:k]
        assert index[row].tolist() == order
        assert cosine[row].tolist() == pytest.approx([exact[place] for place in order], abs=1e-6)


def test_memory_does_not_grow_with_the_bank(monkeypatch):
    monkeypatch.setattr(module, "BLOCK", 4 * 50)
    sizes = []
    top = module._top
    monkeypatch.setattr(module, "_top", lambda v, k: sizes.append(v.numel()) or top(v, k))
    Bank(features(5000), torch.zeros(5000).long()).nearest(features(4, seed=1))
    assert max(sizes) <= 4 * (50 + 20)
    assert len(sizes) == 100


@pytest.mark.parametrize("temperature", [0.07, 0.01, 5.0])
@pytest.mark.parametrize("given_target", [False, True])
def test_answers_as_defined(temperature, given_target):
    members, labels, wanted = features(50), torch.arange(50) % 6, features(8, seed=1)
    targets = torch.arange(8) % 6 if given_target else None
    answer = Bank(members, labels, k=15, temperature=temperature).ask(wanted, targets)
    for image in range(8):
        target = int(targets[image]) if given_target else None
        weights, votes = channel_weights(wanted[image], members, labels, target, 15, temperature)
        assert answer.target[image] == (votes.argmax() if target is None else target)
        assert torch.allclose(answer.weights[image].double(), weights, atol=1e-5)
        shares = answer.logits[image].double().softmax(0)
        assert torch.allclose(shares, votes / votes.sum(), atol=1e-4)
        cast = votes > votes.max() * 1e-30
        assert torch.allclose(answer.logits[image].double()[cast], votes[cast].log(), atol=1e-3)
    assert answer.logits.isfinite().all()


@pytest.mark.parametrize("k", [3, 20])
@pytest.mark.parametrize("given_target", [False, True])
def test_an_excluded_image_is_as_if_it_were_not_in_the_bank(k, given_target):
    members, labels = features(12), torch.arange(12) % 3
    targets = torch.tensor([0, 1, 2, 0]) if given_target else None
    exclude = torch.tensor([0, -1, 7, 11])
    wanted = members[[0, 1, 7, 11]]
    answer = Bank(members, labels, k=k).ask(wanted, targets, exclude)
    for image, left_out in enumerate(exclude.tolist()):
        others = [place for place in range(12) if place != left_out]
        target = None if targets is None else targets[image : image + 1]
        alone = Bank(members[others], labels[others], k=k).ask(wanted[image : image + 1], target)
        assert torch.equal(answer.target[image], alone.target[0])
        assert torch.allclose(answer.logits[image], alone.logits[0], atol=1e-4)
        assert torch.allclose(answer.weights[image], alone.weights[0], atol=1e-5)


def test_no_temperature_overflows():
    answer = Bank(features(50), torch.arange(50) % 6, temperature=1e-4).ask(features(8, seed=1))
    assert answer.logits.isfinite().all()
    assert torch.equal(answer.target, answer.logits.argmax(dim=1))


def test_a_label_without_votes_has_a_finite_floor():
    answer = Bank(torch.eye(4), torch.tensor([0, 0, 1, 3]), k=2).ask(torch.eye(4)[:1])
    assert answer.logits.shape == (1, 4)
    assert answer.logits.isfinite().all()
    assert answer.logits.argmax() == 0
    assert answer.logits[0, 2] < answer.logits[0, 0] - 80


def test_a_target_outside_the_neighbours_is_represented_by_all_its_references():
    members, labels = features(30), torch.tensor([0] * 28 + [1] * 2)
    wanted = members[:1] + 0.01
    answer = Bank(members, labels, k=3).ask(wanted, torch.tensor([1]))
    weights, _ = channel_weights(wanted[0], members, labels, 1, k=3)
    assert torch.allclose(answer.weights[0].double(), weights, atol=1e-5)


def test_constant_agreement_and_labels_without_references_weigh_every_channel_alike():
    constant = Bank(torch.ones(3, 4), torch.tensor([0, 0, 2])).ask(torch.ones(1, 4))
    assert torch.equal(constant.weights, torch.ones(1, 4))
    nobody = Bank(features(3, 4), torch.tensor([0, 0, 2])).ask(features(1, 4), torch.tensor([1]))
    assert torch.equal(nobody.weights, torch.ones(1, 4))
    zeros = Bank(torch.zeros(3, 4), torch.tensor([0, 1, 2])).ask(torch.zeros(1, 4))
    assert torch.equal(zeros.weights, torch.ones(1, 4))
    assert zeros.logits.isfinite().all()


def test_a_feature_that_is_not_finite_does_not_touch_its_batch_mates():
    members, labels = features(30), torch.arange(30) % 3
    wanted = features(3, seed=1)
    alone = Bank(members, labels).ask(wanted[1:])
    wanted[0, 2] = math.nan
    beside = Bank(members, labels).ask(wanted)
    assert torch.allclose(beside.logits[1:], alone.logits, atol=1e-5)
    assert torch.allclose(beside.weights[1:], alone.weights, atol=1e-6)
    assert beside.logits.isfinite().all()


@pytest.mark.parametrize(
    ("members", "labels", "options", "sentence"),
    [
        (features(3), torch.zeros(4).long(), {}, "a bank needs features"),
        (features(3)[0], torch.zeros(3).long(), {}, "a bank needs features"),
        (features(0), torch.zeros(0).long(), {}, "at least one image"),
        (features(3), torch.zeros(3), {}, "must be integers"),
        (features(3), torch.tensor([0, -1, 1]), {}, "must be integers from 0"),
        (features(3), torch.zeros(3).long(), {"k": 0}, "k .0. must be at least 1"),
        (features(3), torch.zeros(3).long(), {"temperature": 0}, "temperature .0. positive"),
    ],
)
def test_a_bank_that_makes_no_sense_is_refused(members, labels, options, sentence):
    with pytest.raises(ValueError, match=sentence):
        Bank(members, labels, **options)


def test_daam_needs_bank_and_labels_together():
    with pytest.raises(ValueError, match="bank and bank_labels together"):
        create_flow("daam", small(), bank=features(3, 24))


@pytest.mark.parametrize("pool", ["token", "avg"])
@pytest.mark.parametrize("relu", [False, True])
def test_a_headless_model_is_explained_by_its_bank(pool, relu):
    model = small(num_classes=0, global_pool=pool)
    images = photographs_like(model, 4)
    members, labels = features(40, 24), torch.arange(40) % 4
    options = {"bank": members, "bank_labels": labels, "k": 9, "temperature": 0.2}
    with create_flow("daam", model, **options, relu=relu) as flow:
        result, labelled = flow(images), flow(images, torch.tensor([0, 1, 2, 3]))
    assert result.logits.shape == (4, 4)
    for index, image in enumerate(images):
        feature = see(model, image).result
        for found, target in ((result, None), (labelled, index)):
            weights, votes = channel_weights(feature, members, labels, target, 9, 0.2)
            assert found.target[index] == (votes.argmax() if target is None else target)
            wanted = reference.daam(see(model, image, weights=weights), relu=relu)
            maps = found.maps[index].flatten(1)
            assert (maps - wanted).abs().max() <= 1e-4 * wanted.max()


def test_targets_are_labels_of_the_bank():
    model = small()
    options = {"bank": features(10, 24), "bank_labels": torch.arange(10)}
    with create_flow("daam", model, **options) as flow:
        assert flow(photographs_like(model, 1), torch.tensor([9])).target == 9
        with pytest.raises(ValueError, match=r"classes 0 … 9"):
            flow(photographs_like(model, 1), torch.tensor([10]))
