import numpy as np
import pytest

from pipeline.report.pictures.palettes import DIVERGING, INFERNO


def lightness(colours: np.ndarray) -> np.ndarray:
    """L* of CIELAB, [0, 100], of sRGB colours (n, 3) uint8 (IEC 61966-2-1)."""
    share = colours / 255
    linear = np.where(share <= 0.04045, share / 12.92, ((share + 0.055) / 1.055) ** 2.4)
    luminance = linear @ np.array([0.2126, 0.7152, 0.0722])
    return np.where(luminance > 216 / 24389, 116 * np.cbrt(luminance) - 16, luminance * 24389 / 27)


def test_inferno_grows_lighter_evenly_from_black():
    assert INFERNO.shape == (256, 3)
    assert INFERNO[[0, -1]].tolist() == [[0, 0, 3], [252, 254, 164]]
    steps = np.diff(lightness(INFERNO)[4:])
    assert (np.convolve(steps, np.ones(8) / 8, "valid") > 0.1).all()
    assert np.abs(np.convolve(steps, np.ones(32) / 32, "valid") - steps.mean()).max() < 0.2


def test_the_diverging_palette_is_white_in_the_middle_and_as_dark_at_both_ends():
    assert DIVERGING.shape == (256, 3)
    assert lightness(DIVERGING).argmax() in (127, 128)
    assert (np.abs(DIVERGING[126:130].astype(int) - 247) <= 5).all()
    violet, orange = DIVERGING[:100].astype(int), DIVERGING[156:].astype(int)
    assert (violet[:, 2] > violet[:, 1]).all()
    assert (orange[:, 0] > orange[:, 2]).all()
    assert (np.diff(lightness(DIVERGING[:128])) > -0.5).all()
    assert (np.diff(lightness(DIVERGING[128:])) < 0.5).all()


@pytest.mark.parametrize(("name", "palette"), [("inferno", INFERNO), ("PuOr_r", DIVERGING)])
def test_the_palettes_are_those_that_matplotlib_publishes(name, palette):
    matplotlib = pytest.importorskip("matplotlib")
    published = matplotlib.colormaps[name](np.arange(256), bytes=True)[:, :3]
    np.testing.assert_array_equal(palette, published)
