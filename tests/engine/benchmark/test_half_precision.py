from pathlib import Path

import pytest
import torch

from pipeline.engine import prepare
from pipeline.engine.benchmark import half_precision
from pipeline.engine.benchmark.half_precision import try_bfloat16
from tests.engine.datasets import small_config


def test_bfloat16_is_compared_where_the_processor_has_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = small_config(tmp_path)
    prepared = prepare(config)
    monkeypatch.setattr(half_precision, "_has_bfloat16", lambda device: True)
    found = try_bfloat16(config, prepared, 0.05)
    assert found is not None
    assert found.images_per_second > 0
    assert found.times is not None
    assert 0.5 < found.rank_correlation < 1, "it was another precision"
    assert f"{found.times:.2f} × as fast as float32" in found.sentence("float32")
    assert not Path(config.run).exists()
    monkeypatch.setattr(half_precision, "_has_bfloat16", lambda device: False)
    assert try_bfloat16(config, prepared, 0.05) is None


def test_a_run_in_half_precision_has_nothing_to_compare(tmp_path: Path) -> None:
    config = small_config(tmp_path, flow={"precision": "bfloat16", "batch_size": 4})
    assert try_bfloat16(config, prepare(config), 0.05) is None


def test_processors_that_have_it_are_known() -> None:
    flags = Path("/proc/cpuinfo")
    if not flags.is_file() or "avx512" not in flags.read_text():
        pytest.skip("needs an x86 processor on Linux")
    has = "avx512_bf16" in flags.read_text()
    assert half_precision._has_bfloat16(torch.device("cpu")) == has
