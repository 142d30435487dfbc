from pathlib import Path

import numpy as np
import pytest
import torch

from pipeline.engine.batch import LoadedBatch
from pipeline.engine.step.inputs import Uploads, host_inputs, padded_boxes
from tests.engine.step.test_step import batch_of, opened


def test_the_inputs_of_a_batch(tmp_path: Path) -> None:
    with opened(tmp_path, flow={"target": "label", "batch_size": 4}) as context:
        batch = batch_of(context, 0, 4)
        found = host_inputs(batch, context)
        assert found.keys() == {"shown", "targets"}
        assert not found["shown"][2].any(), "it could not be read"
        for place in (0, 1, 3):
            np.testing.assert_array_equal(found["shown"][place], batch[place].pixels)
        assert found["targets"].tolist() == [item.image.label for item in batch]
        ring = np.arange(4 * 3 * 32 * 32).astype(np.uint8).reshape(4, 3, 32, 32)
        shared = host_inputs(LoadedBatch(batch, ring), context)["shown"]
        assert np.shares_memory(shared.numpy(), ring), "not copied"


def test_boxes_are_padded_to_few_sizes(tmp_path: Path) -> None:
    with opened(tmp_path) as context:
        for boxes, wanted in ((1, 1), (3, 4), (4, 4), (5, 8)):
            batch = batch_of(context, 0, 4, boxes)
            plain, even = (padded_boxes(batch, [0] * 4, even=even) for even in (False, True))
            assert (plain.shape, even.shape) == ((4, boxes, 4), (4, wanted, 4))
            assert torch.equal(even[:, :boxes].nan_to_num(-1), plain.nan_to_num(-1))
            assert even[:, boxes:].isnan().all()


def test_a_cpu_has_its_inputs_at_once() -> None:
    inputs = {"shown": torch.ones(2, 3, 4, 4, dtype=torch.uint8)}
    uploads = Uploads(torch.device("cpu"))
    assert uploads.begin(inputs) is inputs
    uploads.wait()


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_gpu_gets_what_was_in_memory_before_it_is_used_again() -> None:
    uploads, memory = Uploads(torch.device("cuda")), torch.empty(2**24, dtype=torch.uint8)
    memory, there = memory.pin_memory(), []
    for number in range(5):
        memory.fill_(number)
        there.append(uploads.begin({"shown": memory})["shown"].int().sum())
        uploads.wait()
    assert [int(one) for one in there] == [number * 2**24 for number in range(5)]
