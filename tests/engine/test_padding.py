from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from timm.models.vision_transformer import VisionTransformer
from torch import nn
from torch.nn.modules.module import register_module_forward_pre_hook

from pipeline.engine import Job, LocalEngine, open_flows, prepare, run_flows
from pipeline.store import create_run, load_spec, open_run, open_store
from tests.engine.datasets import small_config, write_images
from tests.engine.trees import tree


@pytest.fixture
def sizes() -> Iterator[list[int]]:
    """How many images the model gets, each time."""
    seen: list[int] = []

    def before(module: nn.Module, inputs: tuple[torch.Tensor, ...]) -> None:
        if isinstance(module, VisionTransformer):
            seen.append(len(inputs[0]))

    hook = register_module_forward_pre_hook(before)  # type: ignore[arg-type]
    yield seen
    hook.remove()


@pytest.mark.parametrize(
    ("readers", "target"), [("threads", "predicted"), ("threads", "both"), ("processes", "label")]
)
def test_the_last_batches_are_as_large_as_those_of_any_unit(
    tmp_path: Path, sizes: list[int], readers: str, target: str
) -> None:
    write_images(tmp_path / "images", images=13)
    cluster = {"engine": "local", "readers": readers}
    flow = {"batch_size": 3, "target": target}
    config = small_config(tmp_path, cluster=cluster, flow=flow)  # units of 8: batches of 3, 3, 2
    run_flows(config)
    if target == "predicted":
        # Batches of one image measure what a call costs.
        assert [size for size in sizes if size > 1][-5:] == [3, 3, 2, 3, 3]
    run = open_run(config.run)
    assert run.spec.padded
    assert run.summary().count_rows() == 13
    assert run.maps.shape[0] == 13
    assert (np.asarray(run.status[:]) == 1).all()


def test_an_image_has_the_same_bytes_whatever_comes_after_it(tmp_path: Path) -> None:
    write_images(tmp_path / "images", images=13)
    table = tmp_path / "images.csv"
    names = sorted(str(path) for path in (tmp_path / "images").rglob("*.png"))
    maps = []
    for count in (13, 11, 10):
        table.write_text("uri\n" + "\n".join(names[:count]) + "\n")
        config = small_config(tmp_path, f"run{count}", dataset={"source": str(table)})
        run_flows(config)
        maps.append(open_run(config.run).read_maps(0, count))
    np.testing.assert_array_equal(maps[0][:11], maps[1])
    np.testing.assert_array_equal(maps[0][:10], maps[2])


def test_a_run_that_an_earlier_version_began_goes_on_as_it_began(
    tmp_path: Path, sizes: list[int]
) -> None:
    write_images(tmp_path / "images", images=13)
    for name in ("whole", "resumed"):
        config = small_config(tmp_path, name)
        prepared = prepare(config)
        assert prepared.spec.padded
        earlier = replace(prepared.spec, padded=False)
        assert "padded" not in earlier.to_json()
        store = open_store(config.run, create=True)
        create_run(store, earlier, prepared.parts)
        if name == "resumed":
            list(LocalEngine().run(Job(config.run, 1, open_flows), earlier.units[:1]))
        run_flows(config)
        assert sizes[-2:] == [4, 1]
        assert not load_spec(store).padded
    assert tree(tmp_path / "whole") == tree(tmp_path / "resumed")


def test_a_run_of_less_than_a_batch_is_not_filled_up(tmp_path: Path, sizes: list[int]) -> None:
    write_images(tmp_path / "images", images=3)
    run_flows(small_config(tmp_path))
    assert sizes[-1] == 3
