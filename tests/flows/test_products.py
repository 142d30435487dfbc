import pytest
import torch

from pipeline.flows import create_flow, products
from pipeline.flows.methods import daam
from tests.flows.reference import small


@pytest.mark.parametrize("rows", [1, 2, 5])
@pytest.mark.parametrize("beside", [True, False], ids=["side by side", "apart"])
def test_rows_are_multiplied_head_by_head_in_float32(rows: int, beside: bool) -> None:
    images, heads, length, width = 2, 3, 11, 8
    fused = torch.randn(images, length, 3, heads, width).bfloat16()
    tokens = fused.permute(2, 0, 3, 1, 4)[1]
    tokens = tokens if beside else tokens.contiguous()
    query = torch.randn(images, heads, rows, width).bfloat16()
    found = products.per_head(query, tokens)
    assert found.dtype == torch.float32
    assert found.shape == (images, heads, rows, length)
    exact = query.double() @ tokens.double().mT
    assert torch.allclose(found.double(), exact, rtol=0, atol=1e-5)


def test_only_half_precision_on_a_gpu_is_left_as_it_is() -> None:
    assert not products.accumulates(torch.zeros(1, dtype=torch.float32))
    assert not products.accumulates(torch.zeros(1, dtype=torch.bfloat16))
    if torch.cuda.is_available():
        assert not products.accumulates(torch.zeros(1, device="cuda"))
        assert products.accumulates(torch.zeros(1, device="cuda", dtype=torch.bfloat16))


@pytest.mark.parametrize("pool", ["token", "avg"])
def test_maps_are_the_same_without_copies(pool: str, monkeypatch: pytest.MonkeyPatch) -> None:
    model, images = small(global_pool=pool), torch.randn(2, 3, 24, 40)

    def maps() -> torch.Tensor:
        with create_flow("daam", model) as flow, torch.autocast("cpu", dtype=torch.bfloat16):
            return flow(images, torch.tensor([1, 2])).maps

    before = maps()

    def half(tokens: torch.Tensor) -> bool:
        return tokens.dtype == torch.bfloat16

    monkeypatch.setattr("pipeline.flows.recording.accumulates", half)
    monkeypatch.setattr(daam, "accumulates", half)
    after = maps()
    assert not torch.equal(before, after) or pool == "avg"
    assert (after - before).abs().max() < 1e-4 * before.max()
