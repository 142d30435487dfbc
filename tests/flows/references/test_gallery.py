import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.flows.references import neighbours
from pipeline.flows.references.episode import episode
from pipeline.flows.references.gallery import Gallery
from tests.flows import similarity as definition

KINDS = ["cosine", "euclidean"]


def features(count: int, width: int = 8, seed: int = 0) -> torch.Tensor:
    return torch.randn(count, width, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("similarity", KINDS)
@pytest.mark.parametrize("by", ["prototypes", "neighbours"])
@pytest.mark.parametrize("given_target", [False, True])
@pytest.mark.parametrize("excluding", [False, True])
def test_answers_as_defined(similarity: str, by: str, given_target: bool, excluding: bool) -> None:
    references, labels = features(40), torch.arange(40) % 5
    wanted = references[:7] + 0.5 * features(7, seed=1)
    targets = torch.arange(7) % 5 if given_target else None
    own = torch.tensor([0, -1, 2, 3, -1, 5, 6]) if excluding else None
    answer = Gallery(references, labels, by=by, similarity=similarity, k=6).ask(
        wanted, targets, own
    )
    for image in range(7):
        parts, label = definition.explained(
            wanted[image],
            references,
            labels,
            by,
            int(targets[image]) if given_target else None,
            6,
            similarity,
            int(own[image]) if excluding else -1,
        )
        assert answer.target[image] == label
        torch.testing.assert_close(answer.parts[image].double(), parts, atol=1e-5, rtol=1e-4)
        if not given_target:
            assert answer.logits[image].argmax() == label
        for signed in (False, True):
            expected = definition.weights_of(parts, signed)
            found = answer.weights(signed)[image].double()
            torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-3)


@pytest.mark.parametrize("similarity", KINDS)
def test_prototype_logits_are_similarities(similarity: str) -> None:
    references, labels, wanted = features(20), torch.arange(20) % 4, features(3, seed=1)
    gallery = Gallery(references, labels, similarity=similarity, temperature=0.5)
    found = gallery.ask(wanted).logits
    means = definition.prototypes(references.double(), labels)
    for image in range(3):
        for label, mean in means.items():
            part = definition.parts_of(wanted[image].double(), mean, similarity)
            assert found[image, label].item() == pytest.approx(part.sum().item() / 0.5, rel=1e-4)


@pytest.mark.parametrize("similarity", KINDS)
@pytest.mark.parametrize("by", ["prototypes", "neighbours"])
def test_an_episode_is_as_if_the_others_were_not_there(similarity: str, by: str) -> None:
    references, labels, wanted = features(30), torch.arange(30) % 5, features(4, seed=1)
    options = {"by": by, "similarity": similarity, "k": 4}
    few = Gallery(references, labels, n_way=3, k_shot=2, seed=3, **options)
    shown = episode(labels, 3, 2, 3)
    alone = Gallery(references[shown], labels[shown], **options)
    exclude = torch.tensor([int(shown[0]), 0, -1, 7])
    where = [shown.tolist().index(i) if i in shown.tolist() else -1 for i in exclude.tolist()]
    found, expected = few.ask(wanted, None, exclude), alone.ask(wanted, None, torch.tensor(where))
    assert torch.equal(found.target, expected.target)
    torch.testing.assert_close(found.parts, expected.parts)
    absent = [label for label in range(5) if label not in labels[shown].tolist()]
    assert (found.logits[:, absent].amax(1) < found.logits.amax(1) - 50).all()
    assert found.logits.isfinite().all()


@pytest.mark.parametrize("similarity", KINDS)
def test_listed_references_are_those_of_the_table(similarity: str) -> None:
    references, labels, wanted = features(10), torch.arange(10) % 3, features(3, seed=1)
    listed = torch.tensor([[4, 7, -1], [9, -1, -1], [0, 1, 2]])
    answer = Gallery(references, labels, by="table", similarity=similarity).ask(wanted, listed)
    for image, row in enumerate(listed.tolist()):
        members = [i for i in row if i >= 0]
        parts = torch.stack(
            [definition.parts_of(wanted[image], references[i], similarity) for i in members]
        )
        torch.testing.assert_close(answer.parts[image], parts.mean(0), atol=1e-5, rtol=1e-4)
        assert int(answer.target[image]) in labels[members].tolist()
    assert answer.target[1] == labels[9]
    nothing = Gallery(references, labels, by="table").ask(wanted, torch.full((3, 1), -1))
    assert nothing.logits.isfinite().all()
    assert torch.equal(nothing.weights(False), torch.ones(3, 8))


@settings(max_examples=20)
@given(st.integers(1, 40), st.integers(1, 9), st.sampled_from(KINDS), st.integers(0, 99))
def test_blocks_change_nothing(members: int, k: int, similarity: str, seed: int) -> None:
    references, wanted = features(members, 4, seed).sign(), features(3, 4, seed + 1).sign()
    gallery = Gallery(
        references, torch.arange(members) % 3, by="neighbours", k=k, similarity=similarity
    )
    whole = gallery.ask(wanted)
    before, neighbours.BLOCK = neighbours.BLOCK, 5
    try:
        pieces = gallery.ask(wanted)
    finally:
        neighbours.BLOCK = before
    torch.testing.assert_close(pieces.logits, whole.logits)
    torch.testing.assert_close(pieces.parts, whole.parts)


def test_a_class_of_one_image_is_nobody_for_that_image() -> None:
    references, labels = torch.eye(3), torch.tensor([0, 1, 1])
    own = torch.tensor([0])
    answer = Gallery(references, labels).ask(references[:1], None, own)
    assert answer.target.tolist() == [1]
    assert answer.logits.isfinite().all()
    asked = Gallery(references, labels).ask(references[:1], torch.tensor([0]), own)
    assert torch.equal(asked.weights(False), torch.ones(1, 3))


@pytest.mark.parametrize("by", ["prototypes", "neighbours"])
def test_zero_embeddings_are_finite(by: str) -> None:
    answer = Gallery(torch.zeros(4, 3), torch.tensor([0, 0, 1, 3]), by=by).ask(torch.zeros(2, 3))
    assert answer.logits.isfinite().all()
    assert torch.equal(answer.weights(False), torch.ones(2, 3))
    assert torch.equal(answer.weights(True), torch.ones(2, 3))


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"labels": torch.zeros(3).long()}, "references need features"),
        ({"labels": torch.zeros(4)}, "must be integers"),
        ({"by": "nearest"}, "use prototypes, neighbours or table"),
        ({"similarity": "dot"}, "use cosine or euclidean"),
        ({"k": 0}, "must be at least 1"),
        ({"temperature": 0.0}, "positive"),
        ({"n_way": 9}, "n_way is 9"),
    ],
)
def test_references_that_make_no_sense_are_refused(changes: dict[str, object], told: str) -> None:
    arguments = {"features": features(4), "labels": torch.tensor([0, 0, 1, 1]), **changes}
    with pytest.raises(ValueError, match=told):
        Gallery(**arguments)


def test_targets_are_checked() -> None:
    references, labels = features(4), torch.tensor([0, 0, 1, 1])
    with pytest.raises(ValueError, match="classes 0 … 1"):
        Gallery(references, labels).ask(features(1), torch.tensor([2]))
    with pytest.raises(ValueError, match="indices padded with -1"):
        Gallery(references, labels, by="table").ask(features(1))
    with pytest.raises(ValueError, match="references 0 … 3"):
        Gallery(references, labels, by="table").ask(features(1), torch.tensor([[4]]))


@pytest.mark.parametrize("similarity", KINDS)
@pytest.mark.parametrize("by", ["prototypes", "neighbours"])
def test_similarities_are_exact_under_autocast(similarity: str, by: str) -> None:
    gallery = Gallery(features(40, 64), torch.arange(40) % 5, by=by, similarity=similarity, k=6)
    exact = gallery.ask(features(7, 64, seed=1))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = gallery.ask(features(7, 64, seed=1))
    assert torch.equal(found.logits, exact.logits)
    assert torch.equal(found.parts, exact.parts)


def test_a_label_outside_the_neighbours_is_represented_by_all_its_references() -> None:
    references, labels = features(30), torch.tensor([0] * 27 + [1] * 3)
    wanted, own = references[:1] + 0.01, torch.tensor([28])
    gallery = Gallery(references, labels, by="neighbours", k=3)
    found = gallery.ask(wanted, torch.tensor([1]), own)
    parts = [definition.parts_of(wanted[0], references[i], "cosine") for i in (27, 29)]
    torch.testing.assert_close(found.parts[0], torch.stack(parts).mean(0))
    nobody = Gallery(references, labels * 2, by="neighbours").ask(wanted, torch.tensor([1]))
    assert torch.equal(nobody.weights(False), torch.ones(1, 8))


@pytest.mark.parametrize("by", ["prototypes", "neighbours"])
def test_an_embedding_that_is_not_finite_does_not_touch_its_batch_mates(by: str) -> None:
    gallery = Gallery(features(30), torch.arange(30) % 3, by=by)
    wanted = features(3, seed=1)
    alone = gallery.ask(wanted[1:])
    wanted[0, 2] = torch.nan
    beside = gallery.ask(wanted)
    torch.testing.assert_close(beside.logits[1:], alone.logits)
    torch.testing.assert_close(beside.weights(False)[1:], alone.weights(False))


def test_embeddings_of_another_width_are_refused() -> None:
    with pytest.raises(ValueError, match="references have 8 channels, the model's embedding 5"):
        Gallery(features(4), torch.tensor([0, 0, 1, 1])).ask(features(2, 5))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("by", ["prototypes", "neighbours"])
def test_references_may_lie_on_another_device_than_the_model(by: str) -> None:
    gallery, wanted = Gallery(features(30), torch.arange(30) % 3, by=by), features(3, seed=1)
    found = gallery.ask(wanted.cuda())
    assert found.logits.is_cuda
    assert found.target.is_cuda
    torch.testing.assert_close(found.weights(False).cpu(), gallery.ask(wanted).weights(False))
