"""Similarities shared out to pairs of patches, against the definition by second derivatives."""

import copy

import pytest
import timm
import torch

from pipeline.errors import ConfigError
from pipeline.flows.pair_attribution import FIRST_STEPS, PairAttribution
from pipeline.models.structure.embedding import embed
from tests.flows.reference import small


def tiny(**options):
    options = {"img_size": (16, 24), "embed_dim": 8, "num_heads": 2, "depth": 2, **options}
    return small(**options).double().requires_grad_(False)


def tokens_at(model, images, number):
    """Return the tokens behind a block, by running the model's parts one by one."""
    tokens = model._pos_embed(model.patch_embed(images))
    for block in model.blocks[: number + 1]:
        tokens = block(tokens)
    return tokens


def embedding_of(model, tokens, number):
    for block in model.blocks[number + 1 :]:
        tokens = block(tokens)
    return model.forward_head(model.norm(tokens), pre_logits=True)[0]


def by_definition(model, query, gallery, number, steps, cosine):
    """Return A of two images by the paper's definition: mixed second derivatives of f(x, y).

    A_ij = 1/N² Σ_k Σ_l Σ_cd (a − r)_ic (b − r)_jd ∂²f/∂x_ic∂y_jd at every pair of midpoints.
    """
    model = copy.deepcopy(model)
    for block in model.blocks:
        block.attn.fused_attn = False  # the fused one has no second derivative
    a, b, r = (
        tokens_at(model, image[None], number) for image in (query, gallery, torch.zeros_like(query))
    )
    ends = [embedding_of(model, tokens, number) for tokens in (a, b)]
    scale = 1 / float(ends[0].norm() * ends[1].norm()) if cosine else 1.0

    def similarity(x, y):
        return embedding_of(model, x, number) @ embedding_of(model, y, number) * scale

    total = torch.zeros(a.shape[1], b.shape[1], dtype=torch.float64)
    for k in range(steps):
        for m in range(steps):
            x = r + (k + 0.5) / steps * (a - r)
            y = r + (m + 0.5) / steps * (b - r)
            (_, mixed), _ = torch.autograd.functional.hessian(similarity, (x, y))
            mixed = mixed[0, :, :, 0]  # (tokens, channels, tokens, channels)
            total += torch.einsum("ic,jd,icjd->ij", (a - r)[0], (b - r)[0], mixed) / steps**2
    return total, scale


@pytest.mark.parametrize(
    ("options", "layer", "similarity"),
    [
        ({}, 0, "cosine"),
        ({}, 0, "dot"),
        ({"class_token": False, "global_pool": "avg"}, 0, "cosine"),
        ({"reg_tokens": 1}, 1, "cosine"),
    ],
)
def test_the_matrix_is_that_of_second_derivatives(options, layer, similarity):
    model = tiny(**options)
    torch.manual_seed(1)
    query, gallery = torch.randn(2, 3, 16, 24, dtype=torch.float64)
    wanted, _ = by_definition(model, query, gallery, layer, FIRST_STEPS, similarity == "cosine")
    with PairAttribution(
        model, f"blocks.{layer}", similarity=similarity, most_steps=FIRST_STEPS
    ) as pairs:
        found = pairs.explain(pairs.encode(query), pairs.encode(gallery))
    assert found.steps == FIRST_STEPS
    assert wanted.abs().max() > 1e-3
    assert torch.allclose(found.matrix, wanted, rtol=1e-6, atol=1e-6 * float(wanted.abs().max()))


@pytest.mark.parametrize("name", ["resnet10t", "test_convnext"])
def test_cells_of_a_convolutional_network_too(name):
    torch.manual_seed(0)
    model = timm.create_model(name, num_classes=0).eval().double().requires_grad_(False)
    images = torch.randn(2, 3, 64, 96, dtype=torch.float64)
    with PairAttribution(model, most_steps=FIRST_STEPS) as pairs:
        query, gallery = map(pairs.encode, images)
        found = pairs.explain(query, gallery)
        reference = pairs._reference.values

    def rest(cells):  # what follows the last stage
        return model.forward_head(cells[None], pre_logits=True)[0]

    sums = []
    for image in (query, gallery):
        change = image.values - reference
        total = 0
        for k in range(FIRST_STEPS):
            point = reference + (k + 0.5) / FIRST_STEPS * change
            jacobian = torch.autograd.functional.jacobian(rest, point)
            total = total + (jacobian * change).sum(1).flatten(1).T / FIRST_STEPS
        sums.append(total)
    a, b = (embed(model, image[None])[0] for image in images)
    wanted = sums[0] @ sums[1].T / (a.norm() * b.norm())
    assert found.matrix.shape == (6, 6)
    assert torch.allclose(found.matrix, wanted, rtol=1e-6, atol=1e-9)


def test_the_sum_is_the_similarity_and_more_steps_come_nearer():
    model = tiny()
    images = torch.randn(3, 3, 16, 24, dtype=torch.float64)
    a, b, r = (
        embed(model, image[None])[0] for image in (*images[:2], torch.zeros(3, 16, 24).double())
    )
    errors = []
    for most in (4, 12, 36, 108):
        with PairAttribution(model, "blocks.0", tolerance=0.0, most_steps=most) as pairs:
            found = pairs.explain(*map(pairs.encode, images[:2]))
        assert found.steps == most
        errors.append(found.error)
        length = a.norm() * b.norm()
        assert found.similarity == pytest.approx(float(a @ b / length), abs=1e-12)
        assert found.query_reference == pytest.approx(float(a @ r / length), abs=1e-12)
        assert found.gallery_reference == pytest.approx(float(b @ r / length), abs=1e-12)
        assert found.references == pytest.approx(float(r @ r / length), abs=1e-12)
        left = found.query_reference + found.gallery_reference - found.references
        assert found.error == pytest.approx(
            abs(found.attributed + left - found.similarity) / abs(found.similarity)
        )
    assert errors == sorted(errors, reverse=True)
    assert errors[-1] < 1e-3


def test_steps_are_raised_only_until_the_sum_is_near_enough():
    model = tiny()
    images = torch.randn(2, 3, 16, 24, dtype=torch.float64)

    def explained(tolerance, most=324):
        with PairAttribution(model, "blocks.0", tolerance=tolerance, most_steps=most) as pairs:
            return pairs.explain(*map(pairs.encode, images))

    coarse = explained(10.0)
    assert coarse.steps == FIRST_STEPS
    fine = explained(coarse.error / 2)
    assert fine.steps > FIRST_STEPS
    assert fine.error <= coarse.error / 2
    never = explained(0.0, most=30)
    assert never.steps == 12  # three times that would be more than the most
    assert never.error > 0


def test_a_pair_does_not_depend_on_those_before_it():
    model = tiny().float()
    torch.manual_seed(2)
    images = torch.randn(4, 3, 16, 24)
    with PairAttribution(model) as pairs:
        encoded = [pairs.encode(image) for image in images]
        together = [pairs.explain(encoded[0], other) for other in encoded[1:]]
    for other, found in zip(images[1:], together, strict=True):
        with PairAttribution(model) as pairs:
            alone = pairs.explain(pairs.encode(images[0]), pairs.encode(other))
        assert alone.steps == found.steps
        assert torch.equal(alone.matrix, found.matrix)


def test_maps_and_strongest_pairs_are_of_patches():
    model = tiny()
    images = torch.randn(2, 3, 16, 24, dtype=torch.float64)
    with PairAttribution(model, "blocks.0") as pairs:
        found = pairs.explain(*map(pairs.encode, images))
    assert found.matrix.shape == (7, 7)
    assert torch.equal(found.query_map.flatten(), found.matrix.sum(1)[1:])
    assert torch.equal(found.gallery_map.flatten(), found.matrix.sum(0)[1:])
    assert found.query_map.shape == (2, 3)
    query, gallery, values = found.strongest(5)
    assert values.tolist() == sorted(values.tolist(), reverse=True)
    assert torch.equal(found.patches[query, gallery], values)
    assert float(values[0]) == float(found.patches.max())
    assert len(found.strongest(1000)[2]) == int((found.patches > 0).sum())


def test_swapped_images_have_the_transposed_matrix_and_an_image_resembles_itself_wholly():
    model = tiny()
    images = torch.randn(2, 3, 16, 24, dtype=torch.float64)
    with PairAttribution(model, "blocks.0") as pairs:
        a, b = map(pairs.encode, images)
        there, back, same = pairs.explain(a, b), pairs.explain(b, a), pairs.explain(a, a)
    assert torch.allclose(there.matrix, back.matrix.T, atol=1e-12)
    assert same.similarity == pytest.approx(1)
    assert torch.allclose(same.matrix, same.matrix.T)


def test_what_does_not_fit_is_refused():
    model = tiny()
    with pytest.raises(ValueError, match="use cosine or dot"):
        PairAttribution(model, similarity="euclidean")
    with pytest.raises(
        ConfigError, match=r"no module 'blocks\.7'; use one of blocks\.0, blocks\.1"
    ):
        PairAttribution(model, "blocks.7")
    image = torch.randn(3, 16, 24, dtype=torch.float64)
    with pytest.raises(ValueError, match="inside its context"):
        PairAttribution(model).encode(image)
