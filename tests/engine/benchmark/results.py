"""A result of a benchmark, made up."""

from pipeline.engine.benchmark.result import Benchmark, Machine, Precision, Readers, Together
from pipeline.engine.planning.measured import Measured


def measured(**given: float) -> Measured:
    numbers = {"map_bytes": 50.0, "value_bytes": 10.0, "part_bytes": 9.0, "images_per_second": 2.0}
    return Measured(rows=32, unit_rows=16, workers=1, memory=10**9, **{**numbers, **given})


def result(**given: object) -> Benchmark:
    content: dict[str, object] = {
        "made": "2026-11-27T12:00:00+00:00",
        "machine": Machine("a processor", 4, 0, None, "versions"),
        "config_hash": "config",
        "weights_sha256": "weights",
        "model": "vit",
        "method": "daam",
        "precision": "float32",
        "batch_size": 8,
        "threads": 1,
        "alone": {"forward": 10.0, "compute": 4.0, "step": 3.0},
        "operations": {"forward": 1e9, "compute": 3e9},
        "matmul": 2e10,
        "batches": {8: 3.0, 16: 3.1},
        "precisions": (Precision("bfloat16", 4.0, 0.999),),
        "readers": (Readers("threads", 1, 300.0),),
        "together": (
            Together(1, 1, 0.0, "threads", measured()),
            Together(4, 1, 0.0, "threads", measured(images_per_second=1.5)),
            Together(1, 4, 0.0, "threads", measured(images_per_second=5.0)),
        ),
        "planned_bytes": 10**6,
        "peak_bytes": 10**9,
        "gpu_bytes": 0,
        "recommended": {"cluster": {"actors": 4}},
        "notes": ("something was left out",),
    }
    return Benchmark(**{**content, **given})  # type: ignore[arg-type]
