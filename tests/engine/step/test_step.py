"""A recorded step gives what its calls give; where it would not, it is not used."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from pipeline.engine import run_flows
from pipeline.engine.batch import NO_BOXES, LoadedImage, indexed_images
from pipeline.engine.compute import ComputedBatch
from pipeline.engine.context import Context, open_context
from pipeline.engine.step.step import Step
from pipeline.engine.usage.clock import Clock
from pipeline.images import Reason
from tests.engine.datasets import created_run, small_config, write_images
from tests.engine.step.recorded import RecordedGraphs
from tests.engine.trees import tree

_STATIC = [
    *((method, "predicted") for method in ("daam", "attention", "rollout", "relevance")),
    *((method, "predicted") for method in ("activation", "input_gradient", "gradcam")),
    *(("daam", "label"), ("daam", "class_1"), ("gradcam", "label"), ("heads", "predicted")),
]


def batch_of(context: Context, first: int, count: int, boxes: int = 1) -> list[LoadedImage]:
    """Return some rows of a run with random pixels; every third image could not be read."""
    run, rng = context.run, np.random.default_rng(first)
    images = indexed_images(run.index_rows(first, first + count), run.box_rows(first, first + 1))
    found = []
    for place, image in enumerate(images):
        if place % 3 == 2:
            found.append(LoadedImage(image, None, NO_BOXES, Reason.CORRUPT, None, None))
            continue
        pixels = rng.integers(0, 256, (3, 32, 32), dtype=np.uint8)
        corners = rng.random((boxes, 4), np.float32) / 2 + [0, 0, 0.5, 0.5]
        found.append(LoadedImage(image, pixels, corners.astype(np.float32), None, 32, 32))
    return found


@contextmanager
def opened(folder: Path, **changes: Any) -> Iterator[Context]:
    """Open a small run as a worker does."""
    config = small_config(folder, **changes)
    created_run(config)
    with open_context(config.run, threads=1, heads=True) as context:
        yield context


def same(found: ComputedBatch, wanted: ComputedBatch) -> None:
    assert found.reasons == wanted.reasons
    for one, other in ((found.maps, wanted.maps), (found.heads, wanted.heads)):
        np.testing.assert_array_equal(one, other)
    assert found.values.keys() == wanted.values.keys()
    for name, values in wanted.values.items():
        np.testing.assert_array_equal(found.values[name], values, name)


@pytest.mark.parametrize(("method", "target"), _STATIC)
def test_a_recorded_step_gives_what_its_calls_give(
    tmp_path: Path, method: str, target: str
) -> None:
    heads = method == "heads"
    named = "daam" if heads else method
    flow = {"method": named, "target": target, "batch_size": 4, "heads": heads}
    with opened(tmp_path, flow=flow) as context:
        graphs = RecordedGraphs()
        recorded, plain = Step(context, graphs), Step(context)
        for first in (0, 8):
            batch = batch_of(context, first, 4)
            clock = Clock()
            begun = recorded.begin(batch, clock)
            same(begun.result(), plain.begin(batch, Clock()).result())
            assert clock.seconds["replay"] == clock.seconds["compute"]
        assert (graphs.captures, graphs.replays) == (1, 2 + 2), "two prove it"


def test_a_recorded_step_that_differs_is_not_used(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def second(count: int) -> RecordedGraphs:
        """Return graphs that are wrong from the ``count``-th replay on."""

        def disturb(output: Tensor) -> None:
            if graphs.replays >= count:
                output.view(torch.float32)[7] += 1

        graphs = RecordedGraphs(disturb)
        return graphs

    with opened(tmp_path) as context:
        plain = Step(context)
        for count in (1, 2):  # on the batch, and on the one with blank images
            graphs, clock = second(count), Clock()
            step, batch = Step(context, graphs), batch_of(context, 0, 4)
            with caplog.at_level(logging.WARNING):
                found = step.begin(batch, clock).result()
            same(found, plain.begin(batch, Clock()).result())
            what = "a batch" if count == 1 else "a batch with blank images"
            assert f"not as a graph: it gives other maps of {what}" in caplog.text
            same(step.begin(batch, clock).result(), found)
            assert graphs.replays == count
            assert clock.seconds["eager"] == pytest.approx(clock.seconds["compute"], abs=1e-3)
            assert "replay" not in clock.seconds


class _NoGraphs(RecordedGraphs):
    def capture(self, call: Any) -> Any:
        raise RuntimeError("operation not permitted when stream is capturing\nmore")


def test_what_cannot_be_recorded_is_called(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def found(context: Context, graphs: RecordedGraphs) -> RecordedGraphs:
        batch = batch_of(context, 0, 4)
        step = Step(context, graphs)
        for _ in range(2):
            same(step.begin(batch, Clock()).result(), Step(context).begin(batch, Clock()).result())
        return graphs

    with opened(tmp_path) as context:
        found(context, _NoGraphs())
        assert caplog.text.count("not permitted when stream is capturing") == 1
    with opened(tmp_path, run=str(tmp_path / "both"), flow={"target": "both"}) as context:
        assert found(context, RecordedGraphs()).captures == 0
        assert "the device is waited for: " in caplog.text


def test_a_target_that_is_no_class_is_an_error_though_it_is_checked_on_the_host(
    tmp_path: Path,
) -> None:
    with opened(tmp_path, flow={"target": "label", "batch_size": 4}) as context:
        graphs = RecordedGraphs()
        step, batch = Step(context, graphs), batch_of(context, 0, 4)
        step.begin(batch, Clock())
        wrong = [one._replace(image=replace(one.image, label=7)) for one in batch]
        with pytest.raises(ValueError, match="classes 0 … 2 of the model, found 7"):
            step.begin(wrong, Clock())
        assert graphs.captures == 1


def test_batches_of_few_shapes_are_recorded(tmp_path: Path) -> None:
    lines = [f"{path},1,1,9,9" for path in boxed(tmp_path)]
    (tmp_path / "boxes.csv").write_text("\n".join(["uri,x0,y0,x1,y1", *lines]) + "\n")
    dataset = {"source": str(tmp_path / "images"), "boxes": str(tmp_path / "boxes.csv")}
    with opened(tmp_path, dataset=dataset) as context:
        assert context.measures_boxes
        graphs = RecordedGraphs()
        step, plain = Step(context, graphs), Step(context)
        for boxes in (3, 4, 1, 7, 5, 20, 2):
            batch = batch_of(context, 0, 4, boxes)
            same(step.begin(batch, Clock()).result(), plain.begin(batch, Clock()).result())
        assert graphs.captures == 3, "of 4, 1 and 8 boxes; others are called"


def boxed(folder: Path) -> list[str]:
    small_config(folder)
    images = sorted((folder / "images").rglob("*.png"))
    return [path.relative_to(folder / "images").as_posix() for path in images]


def test_a_whole_run_of_recorded_steps_has_the_same_bytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_images(tmp_path / "images", images=21)
    (tmp_path / "images/class_1/0001.png").write_bytes(b"no image")
    limits = {"quarantine": 0.2}
    flow = {"batch_size": 3}
    plain = small_config(tmp_path, "plain", flow=flow, limits=limits)  # units of 8: 3, 3, 2
    run_flows(plain)
    graphs = RecordedGraphs()
    monkeypatch.setattr("pipeline.engine.step.step.graphs_of", lambda device: graphs)
    recorded = small_config(tmp_path, "recorded", flow=flow, limits=limits)
    run_flows(recorded)
    assert graphs.captures == 3, "of three, of two, and of one, which is timed"
    assert graphs.replays == 3 * 2 + 8 + 2, "two prove each, and there are eight batches"
    assert tree(Path(recorded.run)) == tree(Path(plain.run))
