import pytest
import timm
import torch

from pipeline.errors import UnsupportedModel
from pipeline.flows.memories import memory_pairs
from tests.flows.reference import small


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"global_pool": "avg"},
        {"init_values": 0.3},
        {"class_token": False, "global_pool": "avg"},
    ],
)
@torch.no_grad()
def test_scores_are_what_the_models_own_norm_and_head_make_of_a_value(options):
    """Of a value added to a token, with the norm's division by its deviation held constant."""
    model = small(**options)
    norm = model.fc_norm if isinstance(model.norm, torch.nn.Identity) else model.norm
    for block, found in zip(model.blocks, memory_pairs(model), strict=True):
        columns = block.mlp.fc2.weight.T
        if hasattr(block.ls2, "gamma"):
            columns = columns * block.ls2.gamma
        logits = []
        for value in columns:
            centred = (value - value.mean()) * norm.weight
            logits.append(model.head(centred) - model.head.bias)
        scores = torch.stack(logits, dim=1).double()
        apart = (scores - scores.mean(0)) / scores.std(0, unbiased=False)
        for label in range(5):
            value = int(found.best[label])
            assert apart[label, value] == pytest.approx(float(apart[label].max()), abs=1e-5)
            assert float(found.strength[label]) == pytest.approx(
                float(apart[label, value]), abs=1e-5
            )
            assert int(found.rank[label]) == int((scores[:, value] > scores[label, value]).sum())
            assert bool(found.matched[label]) == bool((scores.argmax(0) == label).any())


def test_a_planted_value_is_found_and_matches_its_class_only():
    model = small()
    fc2 = model.blocks[1].mlp.fc2
    with torch.no_grad():
        head = model.head.weight * model.norm.weight
        head = head - head.mean(dim=1, keepdim=True)
        fc2.weight.copy_(head[0][:, None].expand_as(fc2.weight))
        fc2.weight[:, 7] = head[3] * 10
    layer = memory_pairs(model)[1]
    assert (int(layer.best[3]), int(layer.rank[3])) == (7, 0)
    assert layer.matched.tolist() == [True, False, False, True, False]
    assert layer.share == pytest.approx(0.4)


def test_models_without_such_values_are_refused():
    for name, options in (("resnet10t", {}), ("deit_tiny_distilled_patch16_224", {"depth": 1})):
        with pytest.raises(UnsupportedModel, match="use "):
            memory_pairs(timm.create_model(name, num_classes=3, **options).eval())
