import numpy as np
import pytest
import torch
from PIL import Image

from pipeline.errors import ConfigError
from pipeline.synthetic.photographs import choose_photographs, decoded, plain_files


@pytest.fixture
def folder(tmp_path):
    random = np.random.default_rng(1)
    for name, count in (("b", 9), ("a", 8), ("few", 3)):
        (tmp_path / name).mkdir()
        for number in range(count):
            pixels = random.integers(0, 256, (40, 60, 3), np.uint8)
            Image.fromarray(pixels).save(tmp_path / name / f"{number}.png")
    (tmp_path / "a" / "notes.txt").write_text("no image")
    return tmp_path


def test_images_are_split_by_class_and_always_alike(folder):
    chosen = choose_photographs(folder, size=32, training=4, held_out=4)
    assert chosen == choose_photographs(folder, size=32, training=4, held_out=4)
    assert chosen.classes == ("a", "b")
    for label in (0, 1):
        assert len(chosen.numbers(True, label)) == 4
        assert len(chosen.numbers(False, label)) == 4
    assert {chosen.files[n].parent.name for n in chosen.numbers(True, 1)} == {"b"}
    assert len(set(chosen.files)) == 16
    assert set(chosen.numbers(True)) | set(chosen.numbers(False)) == set(range(16))


def test_the_middle_square_is_what_the_model_gets(folder):
    image = Image.new("RGB", (64, 32), "black")
    image.paste("white", (16, 0, 48, 32))
    chosen = choose_photographs(folder, size=32, training=4)
    image.save(chosen.files[0])
    assert np.asarray(chosen.square(0)).min() == 255
    pixels = decoded(plain_files(chosen))
    assert pixels.shape == (len(chosen.files), 3, 32, 32)
    assert pixels.dtype == torch.uint8
    assert pixels[0].min() > 250


def test_too_few_images_are_refused(folder):
    with pytest.raises(ConfigError, match="two folders with at least 10 images"):
        choose_photographs(folder, training=8)
