"""FAM and SFAM from their definitions: one query, float64, loops. Shares nothing with the flows."""

import torch
from torch import Tensor, nn


def parts_of(f: Tensor, g: Tensor, similarity: str) -> Tensor:
    """The channels' parts in the similarity of two embeddings (D,)."""
    if similarity == "euclidean":
        return -((f - g) ** 2)
    length = f.norm() * g.norm()
    return f * g / length if length else torch.zeros_like(f)


def prototypes(features: Tensor, labels: Tensor, without: int = -1) -> dict[int, Tensor]:
    found: dict[int, list[Tensor]] = {}
    for index, (feature, label) in enumerate(zip(features, labels.tolist(), strict=True)):
        if index != without:
            found.setdefault(label, []).append(feature)
    return {label: torch.stack(members).mean(0) for label, members in found.items()}


def neighbours(f: Tensor, features: Tensor, k: int, similarity: str, without: int) -> list[int]:
    likeness = {
        i: float(parts_of(f, g, similarity).sum()) for i, g in enumerate(features) if i != without
    }
    return sorted(likeness, key=lambda i: (-likeness[i], i))[:k]


def explained(
    f: Tensor,
    features: Tensor,
    labels: Tensor,
    by: str,
    target: int | None = None,
    k: int = 20,
    similarity: str = "cosine",
    without: int = -1,
) -> tuple[Tensor, int]:
    """Return the mean parts (D,) and the explained label of one query (D,)."""
    f, features = f.double(), features.double()
    if by == "prototypes":
        means = prototypes(features, labels, without)
        likeness = {c: parts_of(f, g, similarity).sum() for c, g in means.items()}
        label = max(sorted(likeness), key=likeness.__getitem__) if target is None else target
        return parts_of(f, means[label], similarity), label
    near = neighbours(f, features, k, similarity, without)
    if target is None:
        votes = torch.zeros(int(labels.max()) + 1, dtype=torch.float64)
        for i in near:
            value = parts_of(f, features[i], similarity).sum()
            votes[labels[i]] += (value / (0.07 if similarity == "cosine" else 1.0)).exp()
        target = int(votes.argmax())
    mine = [i for i in near if labels[i] == target] or [
        i for i in range(len(labels)) if labels[i] == target and i != without
    ]
    return torch.stack([parts_of(f, features[i], similarity) for i in mine]).mean(0), target


def weights_of(parts: Tensor, signed: bool = False) -> Tensor:
    if signed:
        return parts / parts.abs().max() if parts.any() else torch.ones_like(parts)
    low, high = parts.min(), parts.max()
    return (parts - low) / (high - low) if high > low else torch.ones_like(parts)


def pooled_map(activations: Tensor, weights: Tensor) -> Tensor:
    """Σ_c ω_c A_c of one image's A (C, h, w), channel by channel."""
    total = torch.zeros(activations.shape[1:], dtype=torch.float64)
    for weight, channel in zip(weights, activations.double(), strict=True):
        total += weight * channel
    return total


def jacobian_map(model: nn.Module, activations: Tensor, weights: Tensor) -> Tensor:
    """h·w·Σ_c A_c ⊙ (Jᵀω)_c with the whole Jacobian J of the head at one image's A (C, h, w)."""
    head = model.double()
    jacobian = torch.autograd.functional.jacobian(
        lambda a: head.forward_head(a[None], pre_logits=True)[0], activations.double()
    )
    pulled = torch.einsum("d,dchw->chw", weights, jacobian)
    return (pulled * activations.double()).sum(0) * activations[0].numel()


def references_of(model: nn.Module) -> dict[str, Tensor]:
    """Forty references of the model's own width and four labels, for the support matrix."""
    generator = torch.Generator().manual_seed(3)
    width = getattr(model, "head_hidden_size", None) or model.num_features
    return {
        "references": torch.randn(40, width, generator=generator),
        "reference_labels": torch.arange(40) % 4,
    }


def pooled_references_of(model: nn.Module) -> dict[str, object]:
    generator = torch.Generator().manual_seed(3)
    features = torch.randn(40, model.num_features, generator=generator)
    labels = torch.arange(40) % 4
    return {"references": features, "reference_labels": labels, "embedding": "pooled"}


def fam(model: nn.Module, image: Tensor, references: Tensor, reference_labels: Tensor) -> Tensor:
    """FAM of one image by the full gradient at what is read last: (1, n), lifted to zero."""
    reading = next(
        (
            f"{name}.{len(getattr(model, name)) - 1}.attn"
            for name in ("blocks_token_only", "cls_attn_blocks", "blocks")
            if getattr(model, "global_pool", "") == "token" and hasattr(model, name)
        ),
        None,
    )
    image = image.clone().requires_grad_()  # every activation is in the graph
    kept: list[Tensor] = []
    with torch.enable_grad():
        if reading is not None:
            hook = model.get_submodule(reading).register_forward_pre_hook(
                lambda module, inputs: kept.append(inputs[0])
            )
            features = model.forward_features(image[None])
            hook.remove()
        else:
            features = model.forward_features(image[None])
            kept.append(features)
        embedding = model.forward_head(features, pre_logits=True)[0]
    parts, _ = explained(embedding.detach(), references, reference_labels, "prototypes")
    (gradient,) = torch.autograd.grad(embedding, kept[0], weights_of(parts).to(embedding))
    product = (gradient * kept[0].detach())[0]
    if product.ndim == 3:
        cells = product.sum(-1 if getattr(model, "output_fmt", "") == "NHWC" else 0).flatten()
    else:
        cells = product.sum(1)[model.num_prefix_tokens :]
    return _lifted(cells * len(cells))[None]


def pooled_fam(
    model: nn.Module, image: Tensor, references: Tensor, reference_labels: Tensor, embedding: str
) -> Tensor:
    """FAM of one image whose embedding is the mean of its last activations."""
    with torch.no_grad():
        features = model.forward_features(image[None])[0]
    if features.ndim == 2:
        features = features[model.num_prefix_tokens :]
    elif getattr(model, "output_fmt", "") != "NHWC":
        features = features.permute(1, 2, 0)
    features = features.flatten(0, -2).double()
    parts, _ = explained(features.mean(0), references, reference_labels, "prototypes")
    return _lifted(features @ weights_of(parts))[None]


def _lifted(cells: Tensor) -> Tensor:
    return cells - cells.min().clamp(max=0)
