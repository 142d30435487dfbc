from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import torch
from timm.models.vision_transformer import VisionTransformer
from torch import nn
from torch.nn.modules.module import register_module_forward_pre_hook

from pipeline.engine import Job, LocalEngine, open_flows, run_flows
from pipeline.errors import UnitFailed
from pipeline.store import open_run
from tests.engine.datasets import created_run, small_config


@contextmanager
def memory_for(images: int) -> Iterator[list[int]]:
    """Let models run out of memory above this many images; yield the sizes that were tried."""
    tried: list[int] = []

    def before(module: nn.Module, inputs: tuple[torch.Tensor, ...]) -> None:
        if isinstance(module, VisionTransformer):
            tried.append(len(inputs[0]))
            if len(inputs[0]) > images:
                raise torch.OutOfMemoryError("CUDA out of memory")

    hook = register_module_forward_pre_hook(before)  # type: ignore[arg-type]
    try:
        yield tried
    finally:
        hook.remove()


def test_batches_are_halved_until_they_fit(tmp_path: Path) -> None:
    plenty = small_config(tmp_path, "plenty", flow={"batch_size": 8})
    run_flows(plenty)
    config = small_config(tmp_path, flow={"batch_size": 8})
    units = created_run(config).spec.units
    with memory_for(3) as tried:
        list(LocalEngine().run(Job(config.run, 1, open_flows), units))
    sizes = tried[tried.index(8) :]  # what comes before is the proof of the layout, on two images
    assert sizes[:6] == [8, 4, 2, 2, 2, 2]
    # Two batches of one image measure what a call costs.
    assert set(sizes[6:]) <= {1, 2}, "the size that fits is kept"
    assert sizes.count(1) <= 2
    np.testing.assert_allclose(
        open_run(config.run).read_maps(0, 40), open_run(plenty.run).read_maps(0, 40), atol=1e-6
    )


def test_too_little_memory_for_one_image_is_an_error(tmp_path: Path) -> None:
    config = small_config(tmp_path)
    units = created_run(config).spec.units
    with memory_for(0), pytest.raises(UnitFailed, match="OutOfMemoryError: CUDA out of memory"):
        list(LocalEngine().run(Job(config.run, 1, open_flows), units))
