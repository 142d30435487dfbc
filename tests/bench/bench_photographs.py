"""Does the audit find what photographs really carry, and nothing else?

``python -m tests.bench.bench_photographs PHOTOGRAPHS WEIGHTS FOLDER --cases mixed clean --seeds 1``

PHOTOGRAPHS is any folder of classes of photographs, WEIGHTS a .safetensors file of the timm vision
transformer ``--model``. Every case is a model fine-tuned on some of them: on artefacts of several
kinds, each in a class of its own, or on one (``single``); the other classes are clean. Then come
flows, audit, screening and verdicts, and simpler looks beside them (``scored_photographs``,
``simple_looks``); what was done is not done again. Truth is never assumed: it is how many held-out
images of other classes the artefact turns into the class. Kinds, looks, classes, shares and
opacities change with the seed. The rules of the audit were made on ``DEVELOPMENT`` kinds with seeds
below 1000; the other kinds and seeds are the test.
"""

import argparse
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from numpy.random import default_rng

from pipeline.config import RunConfig, load_config
from pipeline.engine import Engine, LocalEngine, run_flows
from pipeline.steps import AFTER_FLOWS
from pipeline.store import Run, open_run
from pipeline.synthetic.artefacts import KINDS, Artefact
from pipeline.synthetic.finetune import FineTuning
from pipeline.synthetic.photographs import Photographs, choose_photographs
from pipeline.synthetic.planted_truth import write_truth
from pipeline.synthetic.planting import Planting, plant
from tests.bench.scored_photographs import score
from tests.bench.tabled_photographs import report

DEVELOPMENT = (
    *("plate", "text", "sticker", "mark", "frame"),
    *("tint", "stripes", "compression", "shrink"),
)
"""Kinds that the rules were made with."""

CASES = ("mixed", "single", "clean", "all", "unused", "shuffled")

FAINT = {"text": 14, "watermark": 14, "tint": 12, "stripes": 12, "mark": 10, "figure": 10}
"""Misfiled images that kinds need which a model learns less easily than the others."""

_EASY = 8
_MIXED = 6


@dataclass(frozen=True)
class Case:
    """A planted model."""

    name: str
    """One of ``CASES``."""
    seed: int
    kinds: tuple[str, ...]
    """Kinds that its artefacts are drawn from."""
    misfiled: int | None = None
    """Misfiled images of each artefact, by default as many as its kind usually needs."""

    @property
    def folder(self) -> str:
        """Name of its folder."""
        return f"{self.name}-{self.seed}"

    def plantings(self, classes: int) -> list[Planting]:
        """Return what is planted, drawn from the seed."""
        if self.name in ("clean", "shuffled"):
            return []
        random = default_rng([self.seed, CASES.index(self.name)])
        count = 1 if self.name in ("single", "all") else min(_MIXED, len(self.kinds))
        kinds = random.permutation(self.kinds)[:count]
        labels = random.permutation(classes)[:count]
        return [
            Planting(
                Artefact(
                    str(kind),
                    seed=int(random.integers(1 << 30)),
                    opacity=round(_opacity(str(kind), random.random()), 2),
                ),
                label=int(label),
                share=float(random.choice([0.1, 0.3, 0.5])),
                carriers=self.name if self.name in ("all", "unused") else "class",
                misfiled=self.misfiled or FAINT.get(str(kind), _EASY),
            )
            for kind, label in zip(kinds, labels, strict=True)
        ]


def _opacity(kind: str, draw: float) -> float:
    """Return an opacity: half of what covers a place is opaque, a watermark never is."""
    if kind == "watermark":
        return 0.45 + 0.25 * draw
    return 0.6 + 0.2 * draw if draw > 0.5 and KINDS[kind].where != "compression" else 1.0


def planted(folder: Path, case: Case, photographs: Photographs, recipe: FineTuning) -> Path:
    """Plant a case and measure its truth, or find it planted; return its folder."""
    out = folder / case.folder
    if not (out / "truth.json").exists():
        plantings = case.plantings(len(photographs.classes))
        shuffled = case.name == "shuffled"
        cache = folder / "cache"
        model = plant(photographs, plantings, recipe, cache, case.seed, shuffled)
        accuracy, effects = write_truth(model, recipe, out)
        print(f"{case.folder}: {accuracy:.1%} right")
        for planting, effect in zip(plantings, effects, strict=True):
            artefact = planting.artefact
            print(
                f"  {artefact.kind} ({artefact.opacity:.0%} opaque) on {planting.share:.0%} of "
                f"{photographs.classes[planting.label]} turns {effect.flips:.1%} of "
                f"{effect.images}, {effect.carriers} images carry it",
                flush=True,
            )
    return out


STEPS = ("aggregate", "audit", "screen", "confirm")


def audited(folder: Path) -> Run:
    """Compute, aggregate, audit and test a planted model, or open what was done."""
    config = load_config(folder / "config.yaml")
    run = _computed(config)
    for step in AFTER_FLOWS:
        if step.name in STEPS and not run.exists(step.output):
            done = step.work(run, _engine, lambda done, total: None)
            print(f"  {folder.name}, {step.name}: {done}", flush=True)
    return run


def with_gradcam(folder: Path) -> Run:
    """Compute the Grad-CAM maps of a planted model, or open them."""
    config = load_config(folder / "config.yaml")
    flow = config.flow.model_copy(update={"method": "gradcam", "features": False})
    return _computed(config.model_copy(update={"flow": flow, "run": f"{config.run}-gradcam"}))


def _computed(config: RunConfig) -> Run:
    run_flows(config, engine=LocalEngine())
    return open_run(config.run)


@contextmanager
def _engine() -> Iterator[Engine]:
    yield LocalEngine()


def parsed(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Return the arguments."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("photographs", type=Path)
    parser.add_argument("weights")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--model", default="vit_tiny_patch16_224")
    parser.add_argument("--size", type=int, help="side of the images; by default the model's")
    parser.add_argument("--training", type=int, default=12, help="images of each class")
    parser.add_argument("--held-out", type=int, default=25, help="most images of each class")
    parser.add_argument("--classes", type=int, default=25, help="at most so many")
    parser.add_argument("--cases", nargs="+", choices=CASES, default=list(CASES))
    parser.add_argument("--kinds", nargs="+", choices=list(KINDS), default=list(DEVELOPMENT))
    parser.add_argument("--misfiled", type=int, help="more of them: stronger artefacts")
    parser.add_argument("--gradcam", action="store_true", help="cluster the maps of Grad-CAM")
    parser.add_argument("--plant-only", action="store_true", help="judge nothing")
    parser.add_argument("--seeds", type=int, nargs="+", default=[1])
    return parser.parse_args(arguments)


def main() -> None:
    """Plant and judge all cases, and print the tables."""
    asked = parsed()
    photographs = choose_photographs(
        asked.photographs,
        size=asked.size or 224,
        training=asked.training,
        held_out=asked.held_out,
        classes=asked.classes,
    )
    scores = []
    for seed in asked.seeds:
        recipe = FineTuning(asked.weights, asked.model, asked.size, seed=seed)
        for name in asked.cases:
            case = Case(name, seed, tuple(asked.kinds), asked.misfiled)
            out = planted(asked.folder, case, photographs, recipe)
            if not asked.plant_only:
                clustered = with_gradcam(out) if asked.gradcam else None
                scores.append(score(out, audited(out), clustered))
    if scores:
        print(report(scores))


if __name__ == "__main__":
    main()
