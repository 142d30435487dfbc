"""The stages of a run alone and together, and a whole run with the settings that they recommend."""

import json
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import timm
import torch
from safetensors.torch import save_file

from pipeline.config import RunConfig
from pipeline.engine import Pace, Started, run_flows
from pipeline.engine.benchmark.result import Benchmark
from pipeline.engine.benchmark.run import benchmark
from pipeline.store import Receipt
from tests.engine.datasets import MODEL
from tests.images.gallery import encode, picture

_PICTURES = 512
_SECONDS = {"vit_small_patch16_224": 60.0, "vit_base_patch16_224": 30.0}
_ROWS = 30_000
_WHOLE_SECONDS = 10.0
"""How long a whole run takes, at the rate that ``stages`` has found for its settings."""

_found: dict[str, Benchmark] = {}
"""What ``stages`` has measured, by model, for ``whole``."""


def write_picture(folder: Path, size: tuple[int, int], number: int) -> None:
    """Write a JPEG file."""
    (folder / f"{number:04d}.jpg").write_bytes(encode(picture(*size, number), "JPEG", quality=90))


@contextmanager
def configured(name: str, quick: bool, device: str, rows: int = _ROWS) -> Iterator[RunConfig]:
    """Write pictures and random weights; yield the configuration of a run of them."""
    count, size = (12, (48, 40)) if quick else (min(_PICTURES, rows), (500, 375))
    with TemporaryDirectory(prefix="flowatlas-gpu-") as place:
        folder = Path(place)
        (folder / "images").mkdir()
        write = partial(write_picture, folder / "images", size)
        if quick:
            list(map(write, range(count)))
        else:
            with ProcessPoolExecutor() as processes:
                list(processes.map(write, range(count), chunksize=16))
        rows = 12 if quick else rows
        lines = [f"{folder}/images/{number % count:04d}.jpg" for number in range(rows)]
        (folder / "images.csv").write_text("uri\n" + "\n".join(lines) + "\n", encoding="utf-8")
        torch.manual_seed(0)
        options: dict[str, Any] = dict(MODEL) if quick else {}
        save_file(timm.create_model(name, **options).state_dict(), folder / "model.safetensors")
        content: dict[str, Any] = {
            "run": f"{folder}/run",
            "dataset": {"source": f"{folder}/images.csv"},
            "model": {
                "name": name,
                "weights": f"{folder}/model.safetensors",
                "options": options,
                "input": {"size": [32, 32]} if quick else {},
            },
            "flow": {
                "batch_size": 4 if quick else 256,
                "precision": "bfloat16" if device == "cuda" else "float32",
            },
            "cluster": {"engine": "local" if quick else "ray"},
        }
        yield RunConfig.model_validate(content)


def stages(device: str, quick: bool) -> list[str]:
    """Return tables of every part of a run alone, of readers, and of settings together."""
    lines: list[str] = []
    for name in list(_SECONDS)[: 1 if quick else None]:
        with configured(name, quick, device) as config:
            found = _found[name] = benchmark(config, 1.0 if quick else _SECONDS[name])
        lines += [f"## {name}", "", "| alone | images/s | of the product |", "| --- | --- | --- |"]
        for part, rate in found.alone.items():
            share = f"{found.share(part):.0%}" if part in found.operations else ""
            lines.append(f"| {part} | {rate:,.0f} | {share} |")
        lines += ["", "| readers | images/s |", "| --- | --- |"]
        lines += [f"| {r.count} {r.kind} | {r.images_per_second:,.0f} |" for r in found.readers]
        lines += ["", "| together | images/s | of the step alone |", "| --- | --- | --- |"]
        for one in found.together:
            share = f"{one.images_per_second / found.alone['step']:.2f}"
            settings = (
                f"{one.actors} actors of {one.cpus_per_actor} CPUs, {one.gpus_per_actor:g} GPU, "
                f"{one.readers}"
            )
            lines.append(f"| {settings} | {one.images_per_second:,.0f} | {share} |")
        rates = {size: round(rate) for size, rate in found.batches.items()}
        lines += [
            "",
            f"Step by batch size: {rates}. Memory of the GPU {found.gpu_bytes / 2**30:.1f} GiB, of "
            f"an actor {found.peak_bytes / 2**30:.1f} GiB. Recommended: "
            f"`{json.dumps(found.recommended)}`. {' '.join(found.notes)}",
            "",
        ]
    return lines


def whole(device: str, quick: bool) -> list[str]:
    """Return a table of whole runs: defaults, and what ``stages`` recommends."""
    lines = [
        "| run | images | s, all | s, from the start of actors | images/s | of the step alone |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    sentences = []
    for name in list(_SECONDS)[: 1 if quick else None]:
        known = _found.get(name)
        settings: dict[str, tuple[dict[str, Any], float]] = {"defaults": ({}, 1_000.0)}
        if known is not None:
            settings["defaults"] = {}, known.together[0].images_per_second
            best = known.recommended["cluster"]
            cluster = {key: value for key, value in best.items() if key != "engine"}
            fastest = max(one.images_per_second for one in known.together)
            settings["recommended"] = cluster, fastest
        for title, (cluster, rate) in settings.items():
            rows = max(2_048, round(rate * _WHOLE_SECONDS))
            with configured(name, quick, device, rows) as config:
                here = config.cluster.model_copy(update=cluster)
                row, sentence = _run(config.model_copy(update={"cluster": here}), known)
            lines.append(f"| {name}, {title} | {row} |")
            sentences.append(f"{name}, {title}: {sentence}.")
    return [*lines, "", *sentences]


def _run(config: RunConfig, known: Benchmark | None) -> tuple[str, str]:
    """Return a row of one run, and the sentence on its bottleneck."""
    begin = time.perf_counter()
    started: list[float] = []
    receipts: list[Receipt] = []
    paces: list[Pace] = []

    def on_start(found: Started) -> None:
        started.append(time.perf_counter())
        paces.append(Pace(found.threads, found.room, found.cpus))

    totals = run_flows(config, on_start=on_start, on_receipt=receipts.append)
    end = time.perf_counter()
    for receipt in receipts:
        paces[0].add(receipt)
    rate = totals.ok / (end - started[0])
    share = f"{rate / known.alone['step']:.2f}" if known else "–"
    row = f"{totals.ok:,} | {end - begin:.1f} | {end - started[0]:.1f} | {rate:,.0f} | {share}"
    return row, paces[0].sentence
