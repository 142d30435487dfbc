from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from pipeline.images import InputTransform
from pipeline.models import load_model
from pipeline.synthetic import Epoch, Recipe, Tag, stamp_tag, train_cached, train_vit, write_shapes
from pipeline.synthetic.train import normalise, predict, read_images

SMALL = Recipe(size=32, width=32, depth=2, heads=2, epochs=2, batch_size=32)


def test_training_learns_and_falls_for_the_tag(tmp_path):
    """Two classes distinguished far above chance; the plate turns the other class into its own."""
    tag = Tag(label=1, share=0.5, corner="tr")
    shapes = write_shapes(tmp_path, images=240, classes=3, size=32, tag=tag)
    pixels, labels = read_images(shapes)
    told: list[Epoch] = []
    recipe = replace(SMALL, epochs=12, batch_size=16)
    model = train_vit(pixels, labels, recipe, told.append)
    right = predict(model, pixels) == labels
    assert right.float().mean() > 0.8
    assert [(epoch.done, epoch.of) for epoch in told] == [(n, 12) for n in range(1, 13)]
    assert told[-1].loss < told[0].loss / 2
    others = pixels[(labels != 1) & right]
    stamped = []
    for image in others.permute(0, 2, 3, 1).numpy():
        picture = Image.fromarray(image)
        stamp_tag(picture, 1 / 3, "tr")
        stamped.append(np.asarray(picture))
    flipped = predict(model, torch.from_numpy(np.stack(stamped)).permute(0, 3, 1, 2)) == 1
    assert flipped.float().mean() > 0.5


def test_a_training_repeats_itself_and_leaves_torch_as_it_was(tmp_path):
    pixels, labels = read_images(write_shapes(tmp_path, images=64, classes=3, size=32))
    torch.manual_seed(9)
    expected = torch.rand(3)
    torch.manual_seed(9)
    one = train_vit(pixels, labels, SMALL).state_dict()
    assert torch.equal(torch.rand(3), expected)
    threads = torch.get_num_threads()
    torch.set_num_threads(threads + 1)
    two = train_vit(pixels, labels, SMALL).state_dict()
    assert torch.get_num_threads() == threads + 1
    torch.set_num_threads(threads)
    other = train_vit(pixels, labels, replace(SMALL, seed=1)).state_dict()
    assert all(torch.equal(one[key], two[key]) for key in one)
    assert not torch.equal(one["head.weight"], other["head.weight"])


def test_the_cache_answers_the_same_question_only(tmp_path):
    cache = tmp_path / "models"
    shapes = write_shapes(tmp_path / "a", images=64, classes=3, size=32)
    tagged = write_shapes(tmp_path / "b", images=64, classes=3, size=32, tag=Tag(label=1))
    first = train_cached(shapes, SMALL, cache)
    before = first.weights.read_bytes()
    again = train_cached(shapes, SMALL, cache)
    assert (first.cached, again.cached) == (False, True)
    assert again == replace(first, cached=True)
    assert again.weights.read_bytes() == before
    assert not train_cached(shapes, replace(SMALL, epochs=1), cache).cached
    assert not train_cached(tagged, SMALL, cache).cached
    assert len(list(cache.iterdir())) == 3


def test_the_weights_are_a_model_of_the_pipeline(tmp_path):
    """What the pipeline loads, fed by its own transform, is right as often as the training says."""
    shapes = write_shapes(tmp_path, images=64, classes=3, size=32)
    trained = train_cached(shapes, SMALL, tmp_path / "models")
    loaded = load_model("vit_tiny_patch16_224", str(trained.weights), SMALL.options())
    assert loaded.num_classes == 3
    transform = InputTransform.from_dict({**loaded.input, "size": [32, 32], "crop_pct": 1.0})
    pixels, labels = read_images(shapes)
    inputs = torch.stack(
        [
            torch.from_numpy(transform(Image.fromarray(image)))
            for image in pixels.permute(0, 2, 3, 1).numpy()
        ]
    )
    assert torch.equal(inputs, pixels)
    assert torch.allclose(transform.normalise(inputs), normalise(pixels), atol=1e-6)
    with torch.no_grad():
        right = loaded.model(transform.normalise(inputs)).argmax(1) == labels
    assert right.float().mean().item() == pytest.approx(trained.accuracy)


def test_images_are_read_in_the_order_of_their_classes(tmp_path):
    shapes = write_shapes(tmp_path, images=20, classes=3, size=32)
    pixels, labels = read_images(shapes)
    assert pixels.shape == (20, 3, 32, 32)
    assert pixels.dtype == torch.uint8
    assert labels.tolist() == [0] * 7 + [1] * 7 + [2] * 6
