import pytest
import torch

from pipeline.audit.causal.operators import OPERATORS, operator
from pipeline.errors import ConfigError
from pipeline.measures import measure_pixels

RANDOM = torch.Generator().manual_seed(0)
IMAGES = torch.nn.functional.interpolate(
    torch.randint(0, 256, (3, 3, 12, 16), generator=RANDOM).float(), (48, 64), mode="bicubic"
)
IMAGES = IMAGES.clamp(0, 255).to(torch.uint8)


@pytest.mark.parametrize("name", OPERATORS)
def test_an_operator_changes_images_alike_every_time(name):
    change = operator(name)
    found = change(IMAGES)
    assert found.shape == IMAGES.shape
    assert found.dtype == torch.uint8
    assert torch.equal(found, change(IMAGES))
    assert (found != IMAGES).float().mean() > 0.05
    assert change.description.startswith(name)


@pytest.mark.parametrize("name", sorted(set(OPERATORS) - {"noise"}))
def test_an_image_changes_alike_in_any_batch(name):
    assert torch.equal(operator(name)(IMAGES)[1:2], operator(name)(IMAGES[1:2]))


def test_operators_do_what_they_are_called():
    before = measure_pixels(IMAGES)

    def after(name, amount=None):
        return measure_pixels(operator(name, amount)(IMAGES))

    assert (after("blur")["sharpness"] < before["sharpness"]).all()
    assert (after("sharpen")["sharpness"] > before["sharpness"]).all()
    assert (after("noise")["sharpness"] > before["sharpness"]).all()
    assert torch.allclose(after("brightness")["brightness"], before["brightness"] / 2, atol=0.01)
    grey = operator("grayscale")(IMAGES)
    assert torch.equal(grey[:, 0], grey[:, 2])
    rough, fine = (operator("jpeg", quality)(IMAGES).float() - IMAGES for quality in (5, 95))
    assert rough.abs().mean() > 3 * fine.abs().mean()


def test_edges_are_painted_and_the_rest_stays():
    frame = operator("frame", 0.1, "#0a141e")(IMAGES)
    assert frame[:, :, :5].unique(dim=2).flatten(1).shape[1] == 3 * 64
    assert frame[0, :, 0, 0].tolist() == [10, 20, 30]
    assert torch.equal(frame[:, :, 5:43, 5:59], IMAGES[:, :, 5:43, 5:59])
    bars = operator("bars", 0.125)(IMAGES)
    assert bars[:, :, :6].max() == 0
    assert bars[:, :, -6:].max() == 0
    assert torch.equal(bars[:, :, 6:42], IMAGES[:, :, 6:42])


def test_a_scaled_image_is_whole_and_in_the_middle():
    found = operator("scale", 0.5)(IMAGES)
    assert (found[:, :, :12] == 128).all()
    assert (found[:, :, :, :16] == 128).all()
    inner = found[:, :, 12:36, 16:48].float()
    small = torch.nn.functional.avg_pool2d(IMAGES.float(), 2)
    assert (inner - small).abs().mean() < 8


def test_a_tint_of_all_is_the_colour():
    assert (operator("tint", 1, "ffffff")(IMAGES) == 255).all()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("swirl",), "choose tint, frame"),
        (("tint", 2.0), "0.01 to 1, not 2"),
        (("blur", float("nan")), "not nan"),
        (("blur", None, "#ffffff"), "has no colour"),
        (("tint", None, "red"), "write it as #c81e1e"),
        (("tint", None, "#ffff"), "write it as #c81e1e"),
    ],
)
def test_what_cannot_be_done_is_refused(arguments, message):
    with pytest.raises(ConfigError, match=message):
        operator(*arguments)
