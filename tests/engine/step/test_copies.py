import numpy as np
import pytest
import torch

from pipeline.engine.step.copies import CudaCopies, HostCopies, Layout, packed, unpacked

TENSORS = {
    "maps": torch.randn(3, 2, 5, 5),
    "transposed": torch.randn(4, 3).T,
    "flags": torch.tensor([True, False, True]),
    "hashes": torch.tensor([2**62 + 1, -1, 0]),
    "integers": torch.tensor([[1, 2, 3], [4, 5, -6]], dtype=torch.int32),
    "empty": torch.zeros(3, 0),
    "nothing": torch.tensor([torch.nan, torch.inf, -0.0]),
}


def test_what_is_packed_comes_out_as_it_was() -> None:
    content = packed(TENSORS)
    assert content.dtype == torch.uint8
    found = unpacked(content, Layout.of(TENSORS))
    assert found.keys() == TENSORS.keys()
    for name, tensor in TENSORS.items():
        assert found[name].dtype == tensor.numpy().dtype
        assert found[name].tobytes() == tensor.contiguous().numpy().tobytes()
        assert found[name].shape == tuple(tensor.shape)
        assert found[name].flags.writeable


def test_tensors_of_a_cpu_are_not_copied() -> None:
    found = HostCopies().begin(TENSORS).result()
    assert np.shares_memory(found["maps"], TENSORS["maps"].numpy())
    other = HostCopies().begin_packed(packed(TENSORS), Layout.of(TENSORS)).result()
    for name, array in found.items():
        np.testing.assert_array_equal(other[name], array)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_gpu_gives_the_same_of_batches_that_follow_one_another() -> None:
    copies = CudaCopies(torch.device("cuda"))
    batches = [{name: (t + k).to(t.dtype).cuda() for name, t in TENSORS.items()} for k in range(5)]
    begun = [copies.begin(batch) for batch in batches]
    del batches
    for k, copy in enumerate(begun):
        found = copy.result()
        for name, tensor in TENSORS.items():
            np.testing.assert_array_equal(found[name], (tensor + k).to(tensor.dtype).numpy())
