import numpy as np
import pytest
import torch
from PIL import Image

from pipeline.audit.causal.overlay import load_overlay
from pipeline.errors import ConfigError

GREY = torch.full((4, 3, 40, 60), 100, dtype=torch.uint8)


@pytest.fixture
def logo(tmp_path):
    """A red square; its lower half is transparent."""
    pixels = np.zeros((20, 20, 4), np.uint8)
    pixels[:10] = (255, 0, 0, 255)
    Image.fromarray(pixels, "RGBA").save(tmp_path / "logo.png")
    return tmp_path / "logo.png"


def touched(images):
    """Bounding box of what is not grey: top, left, bottom, right."""
    rows, columns = torch.where((images != 100).any(0))
    return rows.min().item(), columns.min().item(), rows.max().item() + 1, columns.max().item() + 1


def test_an_overlay_lies_at_its_place_and_transparent_parts_stay(logo):
    assert touched(load_overlay(logo, "tl", 0.5)(GREY)[0])[:2] == (0, 0)
    top, left, bottom, right = touched(load_overlay(logo, "br", 0.5)(GREY)[0])
    assert (top, left, right) == (20, 40, 60)
    assert bottom in (30, 31, 32)  # half of it is transparent; the edge is resampled
    centre = load_overlay(logo, "centre", 0.5)(GREY)
    assert centre[0, :, 15, 30].tolist() == [255, 0, 0]
    half = load_overlay(logo, "centre", 0.5, 0.5)(GREY)
    assert half[0, 0, 15, 30] == round(100 + 0.5 * 155)


def test_anywhere_is_another_place_in_every_image_and_the_same_again(logo):
    overlay = load_overlay(logo, "anywhere", 0.3)
    found = overlay(GREY)
    assert torch.equal(found, overlay(GREY))
    assert len({touched(image) for image in found}) == 4


def test_a_whole_overlay_is_stretched(logo):
    found = load_overlay(logo)(GREY)
    assert (found[:, 0, :17] == 255).all()
    assert (found[:, :, 24:] == 100).all()


def test_what_is_opaque_needs_no_alpha(tmp_path):
    Image.new("RGB", (10, 5), "white").save(tmp_path / "a.jpg", quality=100)
    found = load_overlay(tmp_path / "a.jpg", "tl", 0.5)(GREY)
    assert touched(found[0]) == (0, 0, 10, 20)
    assert load_overlay(tmp_path / "a.jpg", "tl", 0.5).description.startswith("a.jpg at tl, 50%")


def test_what_cannot_be_done_is_refused(logo, tmp_path):
    (tmp_path / "text.png").write_text("no picture")
    with pytest.raises(ConfigError, match="cannot read the overlay"):
        load_overlay(tmp_path / "text.png")
    with pytest.raises(ConfigError, match="choose tl, top"):
        load_overlay(logo, "middle")
    with pytest.raises(ConfigError, match=r"size .* in \(0, 1\]"):
        load_overlay(logo, size=0)
    with pytest.raises(ConfigError, match=r"opacity .* in \(0, 1\]"):
        load_overlay(logo, opacity=float("nan"))
