import pytest
import torch

from pipeline.flows import create_flow
from tests.flows.convolutional import build, images_for
from tests.flows.precision import CONVOLUTIONAL, METHODS, TRANSFORMER, compare, rank_correlation
from tests.flows.precision import subject as load

# For bfloat16 and float16: least mean correlation of maps, of a layer, least of an image's flow.
LEAST = {
    TRANSFORMER: {
        "daam": ((0.985, 0.98, 0.997), (0.995, 0.99, 0.999)),
        "daam with a bank": ((0.985, 0.97, 0.997), (0.995, 0.99, 0.998)),
        "attention": ((0.999, 0.999, 0.999), (0.999, 0.999, 0.999)),
        "rollout": ((0.999, 0.999, 0.999), (0.999, 0.999, 0.999)),
        "relevance": ((0.995, 0.99, 0.997), (0.998, 0.995, 0.998)),
        "gradcam": ((0.985, 0.98, 0.99), (0.995, 0.99, 0.995)),
        "hirescam": ((0.985, 0.98, 0.99), (0.995, 0.99, 0.995)),
        "layercam": ((0.985, 0.975, 0.99), (0.995, 0.99, 0.995)),
        "input_gradient": ((0.99, 0.99, 0.985), (0.995, 0.995, 0.99)),
        "activation": ((0.998, 0.997, 0.997), (0.999, 0.999, 0.999)),
        "fam": ((0.99, 0.99, 0.98), (0.999, 0.999, 0.998)),
    },
    CONVOLUTIONAL: {
        "naflow": ((0.94, 0.87, 0.85), (0.98, 0.95, 0.95)),
        "naflow, released": ((0.95, 0.9, 0.8), (0.98, 0.95, 0.95)),
        "naflow, references": ((0.94, 0.9, 0.88), (0.98, 0.95, 0.9)),
        # Where the summed gradient cancels, its sign is rounding: Grad-CAM is the most delicate.
        "gradcam": ((0.86, 0.4, 0.85), (0.93, 0.7, 0.95)),
        "hirescam": ((0.86, 0.75, 0.8), (0.94, 0.82, 0.94)),
        "layercam": ((0.9, 0.77, 0.8), (0.95, 0.85, 0.94)),
        "input_gradient": ((0.93, 0.93, 0.89), (0.98, 0.98, 0.95)),
        "activation": ((0.99, 0.98, 0.998), (0.999, 0.998, 0.999)),
        "fam": ((0.99, 0.99, 0.97), (0.999, 0.999, 0.99)),
    },
}


@pytest.mark.photographs
@pytest.mark.slow
@pytest.mark.parametrize("name", LEAST)
def test_halves_keep_the_order_of_places_of_photographs(photographs, name):
    model, images = load(photographs, name, 6)
    assert LEAST[name].keys() == METHODS[name].keys()
    for title, (method, options) in METHODS[name].items():
        for found, least in zip(
            compare(model, images, method, **options), LEAST[name][title], strict=True
        ):
            values = (found.mean, found.lowest, found.flow)
            assert all(map(float.__ge__, values, least)), (title, found, least)


@pytest.mark.parametrize(("half", "least"), [(torch.bfloat16, 0.65), (torch.float16, 0.9)], ids=str)
@pytest.mark.parametrize(
    "method", ["naflow", "gradcam", "hirescam", "layercam", "input_gradient", "activation"]
)
def test_halves_work_for_a_small_random_network(method, half, least):
    model, images = build("MobileNetV2"), images_for("MobileNetV2", 4)
    with create_flow(method, model) as flow:
        exact = flow(images)
        with torch.autocast("cpu", dtype=half):
            rough = flow(images, exact.target)
    assert rough.maps.dtype == rough.logits.dtype == torch.float32
    layers = zip(rough.native, exact.native, strict=True)
    ranked = [rank_correlation(*pair) for pair in layers if pair[0][0].numel() >= 16]
    assert torch.stack(ranked).nanmean() > least


def test_rank_correlations_count_ties_and_constants():
    maps = torch.tensor([[[1.0, 2.0], [2.0, 4.0]], [[0.0, 0.0], [0.0, 0.0]]])
    assert rank_correlation(maps, maps**3)[0].item() == pytest.approx(1)
    assert rank_correlation(-maps, maps)[0].item() == pytest.approx(-1)
    assert rank_correlation(maps, maps)[1].isnan()
    assert rank_correlation(maps, maps.flip(0)).tolist() == [0, 0]
