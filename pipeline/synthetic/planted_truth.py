"""What is true of a planted model: measured on held-out images, and written beside them."""

import csv
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
import yaml
from numpy.random import default_rng

from pipeline.synthetic.artefacts import KINDS, stamp
from pipeline.synthetic.finetune import FineTuning
from pipeline.synthetic.photographs import decoded
from pipeline.synthetic.planting import Planted, Planting, name_of, write_planted

FLIPPED = 200
"""Most images onto which an artefact is put to measure what it turns."""


@dataclass(frozen=True)
class Effect:
    """What one artefact does to held-out images of other classes that are recognised without it."""

    images: int
    flips: float
    """Share of them that become the class, in [0, 1]."""
    accuracy: float
    """Share of them that keep their own."""
    carriers: int
    """Held-out images that carry it."""


def write_truth(planted: Planted, recipe: FineTuning, out: Path) -> tuple[float, list[Effect]]:
    """Measure a planted model and write everything that an audit of it needs, ``truth.json`` last.

    Beside the images and weights (:func:`~pipeline.synthetic.planting.write_planted`): a
    configuration ``config.yaml``, and ``carriers.csv`` with the file, the number of the planting
    and the boxes in fractions of the image: one row per box, one without a box if there is none.

    Returns
    -------
    tuple
        The share of held-out images that the model gets right without any artefact, and the effect
        of each planting.
    """
    write_planted(planted, out)
    (out / "config.yaml").write_text(yaml.safe_dump(_config(planted, recipe), sort_keys=False))
    _write_carriers(planted, out)
    rows = torch.tensor(planted.held_out)
    right = planted.split.predict(planted.tokens[rows]) == planted.labels[rows]
    accuracy = right.float().mean().item()
    known = rows[right].tolist()
    effects = [measure_effect(planted, planting, known) for planting in planted.plantings]
    plantings = [
        _record(planted, planting, effect, number)
        for number, (planting, effect) in enumerate(zip(planted.plantings, effects, strict=True))
    ]
    shuffled = tuple(planted.labels.tolist()) != planted.photographs.labels
    truth = {
        "plantings": plantings,
        "shuffled": shuffled,
        "accuracy": accuracy,
        "seed": planted.seed,
        "recipe": asdict(recipe) | {"weights": Path(recipe.weights).name},
    }
    (out / "truth.json").write_text(json.dumps(truth, indent=1))
    return accuracy, effects


def measure_effect(planted: Planted, planting: Planting, known: Sequence[int]) -> Effect:
    """Put an artefact onto images of other classes, those of ``known``, and count what they become.

    At most ``FLIPPED`` of them are drawn. Without any image, shares are 0.
    """
    labels = planted.labels
    others = [number for number in known if labels[number] != planting.label]
    order = default_rng([planted.seed, planting.label, 5]).permutation(len(others))[:FLIPPED]
    chosen = [others[rank] for rank in order]
    carriers = len(planted.carried[planted.plantings.index(planting)])
    if not chosen:
        return Effect(0, 0.0, 0.0, carriers)
    artefact, photographs = planting.artefact, planted.photographs
    files = [stamp(photographs.square(number), artefact, number).file for number in chosen]
    now = planted.split.predict(planted.split.tokens(decoded(files)))
    flips = (now == planting.label).float().mean().item()
    return Effect(len(chosen), flips, (now == labels[chosen]).float().mean().item(), carriers)


def _record(planted: Planted, planting: Planting, effect: Effect, number: int) -> dict[str, Any]:
    """Return a planting as ``truth.json`` has it; ``boxes`` are those of the first carrier."""
    first = next(iter(planted.carried[number].values()), None)
    return {
        **asdict(planting),
        "class_name": planted.photographs.classes[planting.label],
        "where": KINDS[planting.artefact.kind].where,
        "boxes": first.boxes if first else [],
        "effect": asdict(effect),
    }


def _write_carriers(planted: Planted, out: Path) -> None:
    with (out / "carriers.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["file", "planting", "x0", "y0", "x1", "y1"])
        for planting, carried in enumerate(planted.carried):
            for number, image in carried.items():
                for box in image.boxes or (("", "", "", ""),):
                    writer.writerow([name_of(planted, number), planting, *box])


def _config(planted: Planted, recipe: FineTuning) -> dict[str, Any]:
    split = planted.split
    return {
        "run": "run",
        "dataset": {"source": "images"},
        "model": {
            "name": recipe.model,
            "weights": "weights.safetensors",
            "options": recipe.options(),
            "input": {
                "size": [split.size] * 2,
                "mean": list(split.mean),
                "std": list(split.std),
                "crop_pct": 1.0,
            },
        },
        "flow": {"method": "daam", "features": True, "batch_size": 32},
        "cluster": {"engine": "local"},
    }
