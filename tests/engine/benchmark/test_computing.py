import pytest
import torch

from pipeline.engine.benchmark.computing import rank_correlation


def test_the_lowest_rank_correlation_of_all_images() -> None:
    flows = torch.tensor([[[1.0, 2.0], [3.0, 4.0]], [[1.0, 2.0], [3.0, 4.0]]])
    assert rank_correlation(flows, flows.exp()) == pytest.approx(1)
    others = torch.stack([flows[0], torch.tensor([[1.0, 2.0], [4.0, 3.0]])])
    assert rank_correlation(flows, others) == pytest.approx(0.8)
    assert rank_correlation(flows[:, :1, :1], flows[:, :1, :1]) == 1
    assert rank_correlation(torch.zeros(2, 2, 2), flows) == 1
