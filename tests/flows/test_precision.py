import pytest
import torch

from pipeline.flows import Flow, create_flow
from tests.flows.convolutional import build, images_for
from tests.flows.precision import (
    HALVES,
    METHODS,
    compare,
    flow_of_rounded,
    rank_correlation,
)
from tests.flows.precision import subject as load

# A layer's output is rounded on its way as often as its weights: a few roundings for one.
FACTOR, LEAST_LOSS = 3, 0.005


@pytest.mark.photographs
@pytest.mark.slow
@pytest.mark.parametrize("name", METHODS)
def test_halves_keep_the_order_of_places_of_photographs(photographs, name):
    model, images = load(photographs, name, 2)
    for title, (method, options) in METHODS[name].items():
        for found, yardstick in compare(model, images, method, **options):
            for value in ("mean", "lowest", "flow"):
                loss, expected = 1 - getattr(found, value), 1 - getattr(yardstick, value)
                assert loss <= FACTOR * expected + LEAST_LOSS, (title, value, found, yardstick)


@pytest.mark.parametrize("half", HALVES, ids=str)
@pytest.mark.parametrize(
    "method", ["naflow", "gradcam", "hirescam", "layercam", "input_gradient", "activation"]
)
def test_halves_work_for_a_small_random_network(method, half):
    model, images = build("MobileNetV2"), images_for("MobileNetV2", 4)
    with create_flow(method, model) as flow:
        exact = flow(images)
        with torch.autocast("cpu", dtype=half):
            rough = flow(images, exact.target)
    assert rough.maps.dtype == rough.logits.dtype == torch.float32
    once = flow_of_rounded(model, images, exact.target, half, method)
    loss, expected = (1 - _mean_correlation(found, exact) for found in (rough, once))
    assert loss <= FACTOR * expected + LEAST_LOSS


def _mean_correlation(found: Flow, exact: Flow) -> float:
    layers = zip(found.native, exact.native, strict=True)
    ranked = [rank_correlation(*pair) for pair in layers if pair[0][0].numel() >= 16]
    return float(torch.stack(ranked).nanmean())


def test_rank_correlations_count_ties_and_constants():
    maps = torch.tensor([[[1.0, 2.0], [2.0, 4.0]], [[0.0, 0.0], [0.0, 0.0]]])
    assert rank_correlation(maps, maps**3)[0].item() == pytest.approx(1)
    assert rank_correlation(-maps, maps)[0].item() == pytest.approx(-1)
    assert rank_correlation(maps, maps)[1].isnan()
    assert rank_correlation(maps, maps.flip(0)).tolist() == [0, 0]
