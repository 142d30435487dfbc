"""Does the audit find what was planted, and nothing else?

``python -m tests.bench.bench_audit FOLDER --seeds 100 101 102``

For every seed: a tag on 25 % of one class, and on 2 % of it in a small and in a larger set, a clean
control, and a weak tag (the clean model, which never learnt it, looks at the tagged images: a plate
of the class's hue is some evidence to it all the same). Each is a run with
its audit and its causal test; the same audit is also made of Grad-CAM's and rollout's maps and of
the edges in the pixels. Class and corner of the tag change with the seed. Trained models are kept
under FOLDER, so a second bench takes minutes. Thresholds were chosen on seeds 0 to 7.
"""

import argparse
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from itertools import product
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional

from pipeline.atlas import aggregate
from pipeline.audit import audit
from pipeline.audit.confirmation import examine, gather
from pipeline.audit.intervals import Rate
from pipeline.audit.pictures import predict
from pipeline.audit.suspects import suspect
from pipeline.config import RunConfig
from pipeline.engine import LocalEngine, run_flows
from pipeline.engine.context import Context, open_context
from pipeline.evaluation import Recipe, ShapesSet, Tag, stamp_tag, train_cached, write_shapes
from pipeline.evaluation.outlines import OUTLINES
from pipeline.evaluation.shapes import CORNERS
from pipeline.evaluation.train import MEAN, MODEL, STD
from pipeline.flows import registry
from pipeline.flows.flow import Flow
from pipeline.store import Run, open_run

CLASSES = 8
SETS = {
    "common": (2000, 12, 0.25),
    "rare": (3200, 9, 0.02),
    "larger": (8000, 6, 0.02),
    "weak": (2000, 0, 0.25),
    "clean": (2000, 12, None),
}
"""Images, epochs and tagged share of what a model is trained on, or only looks at."""

PALE = 0.7
"""Vividness of the weak tag's plate."""

OFFSETS = (1, 2, 3)
"""Pixels between a tag and its corner, as :mod:`pipeline.evaluation.shapes` draws them."""


@dataclass(frozen=True)
class Case:
    """A run whose truth is known: which set its model and which its images come from."""

    name: str
    seed: int
    model: str
    images: str
    fresh: int = 0
    """Added to the seed of the images: a clean model looks at clean images it has never seen."""

    @property
    def tag(self) -> Tag:
        """Where the tag is, or would be."""
        pale = PALE if self.images == "weak" else 1.0
        return Tag(self.seed % CLASSES, 0.25, CORNERS[self.seed % 4], pale)


@dataclass(frozen=True)
class Outcome:
    """What the audit said of a case, and what the causal test says of its tag."""

    name: str
    seed: int
    method: str
    found: bool
    false_alarms: tuple[str, ...]
    verdict: str | None = None
    pasted: float | None = None
    truth: float | None = None
    """Share of other classes' images that the real tag turns into the class."""


class Edges:
    """Not an explanation: where the pixels change, whatever the model. One layer."""

    def __init__(self, model: nn.Module, cells: int = 8) -> None:
        self._model, self._cells = model, cells

    def __enter__(self) -> "Edges":
        return self

    def __exit__(self, *_: object) -> None:
        pass

    @torch.no_grad()
    def __call__(self, images: Tensor, targets: Tensor | None = None) -> Flow:
        logits = self._model(images)
        grey = functional.pad(images.mean(1, keepdim=True), (1, 1, 1, 1), mode="replicate")
        slope = (grey[..., 1:-1, 2:] - grey[..., 1:-1, :-2]) ** 2
        slope = slope + (grey[..., 2:, 1:-1] - grey[..., :-2, 1:-1]) ** 2
        maps = functional.adaptive_avg_pool2d(slope.sqrt(), self._cells)
        return Flow(maps, ("pixels",), logits, logits.argmax(1) if targets is None else targets)


def cases(seed: int) -> list[Case]:
    """Return the cases of a seed."""
    return [
        Case("common", seed, "common", "common"),
        Case("rare", seed, "rare", "rare"),
        Case("rare, larger", seed, "larger", "larger"),
        Case("weak", seed, "clean", "weak"),
        Case("clean", seed, "clean", "clean"),
        Case("clean, unseen", seed, "clean", "clean", fresh=1000),
        Case("clean, unseen", seed, "clean", "clean", fresh=2000),
    ]


def drawn(folder: Path, case: Case, kind: str, fresh: int = 0) -> ShapesSet:
    """Write the images of a set, or find them written."""
    place = folder / f"{kind}-{case.seed + fresh}" / "data"
    names = tuple(list(OUTLINES)[:CLASSES])
    if (place / "boxes.csv").exists():
        return ShapesSet(place / "images", place / "boxes.csv", place / "tagged.csv", names)
    images, _, share = SETS[kind]
    tag = None if share is None else replace(case.tag, share=share)
    return write_shapes(place, images=images, classes=CLASSES, seed=case.seed + fresh, tag=tag)


def computed(folder: Path, case: Case, method: str) -> Run:
    """Train, compute and aggregate a case, or open what was done."""
    recipe = Recipe(seed=case.seed, epochs=SETS[case.model][1])
    trained = train_cached(drawn(folder, case, case.model), recipe, folder / "models")
    shapes = drawn(folder, case, case.images, case.fresh)
    name = f"{case.model}-on-{case.images}-{case.seed}-{case.fresh}-{method}"
    config = RunConfig.model_validate(
        {
            "run": str(folder / "runs" / name),
            "dataset": {"source": str(shapes.images), "boxes": str(shapes.boxes)},
            "model": {
                "name": MODEL,
                "weights": str(trained.weights),
                "options": recipe.options(),
                "input": {
                    "size": [recipe.size] * 2,
                    "mean": [MEAN] * 3,
                    "std": [STD] * 3,
                    "crop_pct": 1.0,
                },
            },
            "flow": {"method": method},
        }
    )
    run_flows(config, engine=LocalEngine())
    run = open_run(config.run)
    aggregate(run, workers=1)
    return run


def judged(folder: Path, case: Case, method: str) -> Outcome:
    """Audit a case; with our own maps also put the tag to the test."""
    run = computed(folder, case, method)
    findings = audit(run)
    planted = None if case.name.startswith("clean") else case.tag
    found, alarms = False, []
    for row in findings.to_pylist():
        ours = planted and row["class"] == planted.label and row["kind"] in ("shortcut", "rare")
        said = f"{row['statistic']}, {row['supporting']}"
        if ours and f"corner_{planted.corner}" in said:
            found = True
        else:
            alarms.append(f"{row['kind']} {row['class_name']} {row['statistic']}")
    outcome = Outcome(case.name, case.seed, method, found, tuple(alarms))
    if planted is None or method != "daam":
        return outcome
    column = f"corner_{planted.corner}_flow"
    with open_context(run.uri, threads=1) as context:
        accused = suspect(run, "label", planted.label, column)
        images = gather(accused, context)
        confirmation = examine(accused, images, context)
        truth = stamped(images.recipients, planted, context)
    return Outcome(
        **{
            **asdict(outcome),
            "verdict": confirmation.verdict,
            "pasted": confirmation.pasted.value,
            "truth": truth,
        }
    )


def stamped(images: Tensor, tag: Tag, context: Context) -> float:
    """Return the share of images that the tag itself turns over, at each of its places in turn.

    Which of the nine places it is matters much: a pixel more or less moves it across cells.
    """
    changed, places = [], list(product(OFFSETS, OFFSETS))
    for number, pixels in enumerate(images):
        picture = Image.fromarray(pixels.permute(1, 2, 0).numpy())
        place = places[number % len(places)]
        stamp_tag(picture, tag.label / CLASSES, tag.corner, place, tag.vividness)
        changed.append(torch.from_numpy(np.array(picture)).permute(2, 0, 1))
    return float((predict(torch.stack(changed), context) == tag.label).float().mean())


def report(outcomes: Sequence[Outcome]) -> str:
    """Return the results as Markdown tables."""
    lines = ["| maps | tag on | seeds | recall | false alarms |", "| --- | --- | --- | --- | --- |"]
    for method in dict.fromkeys(outcome.method for outcome in outcomes):
        for name in dict.fromkeys(outcome.name for outcome in outcomes):
            group = [o for o in outcomes if (o.method, o.name) == (method, name)]
            if not group:
                continue
            recall = Rate(sum(o.found for o in group), len(group))
            alarms = Rate(sum(bool(o.false_alarms) for o in group), len(group))
            said = "–" if name.startswith("clean") else f"{recall.count} of {recall.images}"
            lines.append(
                f"| {method} | {name} | {len(group)} | {said} | {alarms.count} of {alarms.images} |"
            )
    lines += ["", "| tag | seed | verdict | pasted patch | the tag itself |", "| --- " * 5 + "|"]
    for o in outcomes:
        if o.verdict:
            lines.append(f"| {o.name} | {o.seed} | {o.verdict} | {o.pasted:.0%} | {o.truth:.0%} |")
    told = [f"- {o.method}, {o.name} {o.seed}: {a}" for o in outcomes for a in o.false_alarms]
    return "\n".join([*lines, "", "False alarms:", *(told or ["- none"])])


def main() -> None:
    """Judge all cases and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seeds", type=int, nargs="+", default=list(range(100, 106)))
    parser.add_argument("--methods", nargs="+", default=["daam", "gradcam", "rollout", "pixels"])
    asked = parser.parse_args()
    registry.METHODS["pixels"] = Edges
    outcomes = []
    for method in asked.methods:
        for seed in asked.seeds:
            for case in cases(seed):
                if method == "daam" or case.fresh == 0:
                    outcomes.append(judged(asked.folder, case, method))
                    print(json.dumps(asdict(outcomes[-1])), flush=True)
    print(report(outcomes))


if __name__ == "__main__":
    main()
