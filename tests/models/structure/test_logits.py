from types import SimpleNamespace

import pytest
import torch
from torch import nn

from pipeline.errors import UnsupportedModel
from pipeline.models.structure.logits import check_logits, gradients_of, logits_of

MODEL = nn.Identity()


@pytest.mark.parametrize(
    "wrap", [lambda t: t, lambda t: {"logits": t}, lambda t: SimpleNamespace(logits=t)]
)
def test_logits_are_found(wrap) -> None:
    logits = torch.randn(2, 3)
    assert logits_of(wrap(logits), MODEL) is logits


@pytest.mark.parametrize(
    ("output", "said"),
    [
        (torch.zeros(2), r"\(B,\): one number per image"),
        (torch.zeros(2, 5, 3), r"\(B, 5, 3\): logits of every token; give .* a global_pool"),
        (torch.zeros(2, 3, 8, 9), r"\(B, 3, 8, 9\): logits of every pixel"),
        (torch.zeros(2, 1, 1, 1, 1), r"\(B, 1, 1, 1, 1\): not \(B, K\)"),
        (torch.zeros(2, 3, dtype=torch.int64), r"torch\.int64, not logits"),
        ((torch.zeros(2, 3), torch.zeros(2, 3)), "a tuple of 2; wrap it in a module"),
        ([torch.zeros(2, 3)], "a list of 1"),
        ({"scores": 1, "boxes": 2}, "a dictionary of scores, boxes"),
        (SimpleNamespace(logits=3), "a SimpleNamespace"),
        (None, "a NoneType"),
    ],
)
def test_other_outputs_are_refused(output, said) -> None:
    with pytest.raises(UnsupportedModel, match=f"Identity returns {said}"):
        logits_of(output, MODEL)


def network(*last: nn.Module) -> nn.Module:
    torch.manual_seed(0)
    pooled = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Sigmoid(), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    return nn.Sequential(pooled, nn.Linear(4, 3), *last).eval()


@pytest.mark.parametrize(
    "last", [nn.Softmax(dim=1), nn.Sigmoid(), nn.Sequential(nn.Softmax(dim=1), nn.Flatten())]
)
def test_probabilities_are_not_logits(last) -> None:
    with pytest.raises(UnsupportedModel, match=r"returns probabilities.*(softmax|sigmoid); remove"):
        check_logits(network(last), torch.randn(2, 3, 8, 8))


@pytest.mark.parametrize("last", [[], [nn.LogSoftmax(dim=1)], [nn.Sigmoid(), nn.Linear(3, 2)]])
def test_logits_are_logits(last) -> None:
    check_logits(network(*last), torch.randn(2, 3, 8, 8))


def test_a_cut_graph_is_refused_wherever_it_is_cut() -> None:
    first = torch.ones(2, requires_grad=True)
    second = first * 2
    assert gradients_of((second**2).sum(), [first, second], MODEL)[0].tolist() == [8, 8]
    cut = second.detach().requires_grad_()
    with pytest.raises(UnsupportedModel, match=r"cuts the gradient.*torch\.no_grad"):
        gradients_of((cut**2).sum(), [first, cut], MODEL)
    with pytest.raises(UnsupportedModel, match="cuts the gradient"):
        gradients_of(second.detach().sum(), [first], MODEL)
