"""Which maps can be trusted where the truth is known?

``python -m tests.bench.bench_evaluation FOLDER --seeds 0 1 2``

For every seed two small transformers are trained from scratch and evaluated on images they have
never seen: on ``shapes``, whose boxes are those of the objects, and on ``marks``, whose labels are
known from a small mark alone, so that its box is what the model must use. Prints for each set how
often the models are right, and for every map and metric the mean over the seeds with the least and
greatest. Models and runs are kept under FOLDER; the same command continues.
"""

import argparse
from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa

from pipeline.audit.evaluation.evaluation import Options, evaluate
from pipeline.audit.evaluation.maps import METHODS
from pipeline.audit.evaluation.metrics import METRICS, MODEL
from pipeline.audit.evaluation.peers import PEERS
from pipeline.audit.evaluation.tables import columns, maps_in_order, overall
from pipeline.audit.text.numbers import figure
from pipeline.config import RunConfig
from pipeline.engine import LocalEngine, run_flows
from pipeline.store import Run, open_run
from pipeline.synthetic import Recipe, ShapesSet, train_cached, write_shapes
from pipeline.synthetic.marks import write_marked
from pipeline.synthetic.train import MEAN, STD
from pipeline.synthetic.train import MODEL as VIT

TRAINED, SEEN = 2000, 400
"""Images a model is trained on, and those of its run."""

FRESH = 1000
"""Added to the seed for the images of a run."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument(
        "--sets", nargs="+", choices=("shapes", "marks"), default=("shapes", "marks")
    )
    parser.add_argument("--images", type=int, default=200)
    parser.add_argument("--hiding", type=int, default=None)
    parser.add_argument("--steps", type=int, default=8)
    parser.add_argument("--epochs", type=int, default=12)
    parser.add_argument("--peers", action="store_true")
    asked = parser.parse_args()
    methods = (*METHODS, *(PEERS if asked.peers else ()))
    options = Options(asked.images, asked.hiding, methods, asked.steps, ("mean", "blur"))
    for kind in asked.sets:
        tables, rates = [], []
        for seed in asked.seeds:
            run = explained(asked.folder / f"{kind}-{seed}", kind, seed, asked.epochs)
            rates.append(accuracy(run))
            print(f"{kind}, seed {seed}: {rates[-1]:.1%} right", flush=True)
            tables.append(evaluate(run, LocalEngine(), options))
        right = ", ".join(f"{rate:.1%}" for rate in rates)
        print(f"\n## {kind}: right {right} of {SEEN} images\n\n{together(tables)}\n")
        print(f"{by_layer(tables)}\n", flush=True)


def explained(folder: Path, kind: str, seed: int, epochs: int) -> Run:
    """Train on one set, and compute the flows of another of the same kind."""
    recipe = Recipe(epochs=epochs, seed=seed)
    weights = train_cached(written(folder / "trained", kind, TRAINED, seed), recipe, folder).weights
    seen = written(folder / "seen", kind, SEEN, seed + FRESH)
    config = RunConfig.model_validate(
        {
            "run": str(folder / "run"),
            "dataset": {"source": str(seen.images), "boxes": str(seen.boxes)},
            "model": {
                "name": VIT,
                "weights": str(weights),
                "options": recipe.options(),
                "input": {
                    "size": [recipe.size, recipe.size],
                    "mean": [MEAN] * 3,
                    "std": [STD] * 3,
                    "crop_pct": 1.0,
                },
            },
        }
    )
    run_flows(config, engine=LocalEngine())
    return open_run(config.run)


def written(folder: Path, kind: str, images: int, seed: int) -> ShapesSet:
    """Write a set, the same each time."""
    if kind == "marks":
        return write_marked(folder, images, seed=seed)
    return write_shapes(folder, images, classes=8, seed=seed)


def accuracy(run: Run) -> float:
    """Return the share of a run's images that its model gets right."""
    right: list[bool] = run.summary().to_table(["correct"])["correct"].to_pylist()
    return sum(right) / len(right)


def together(tables: list[pa.Table]) -> str:
    """Return a table of all seeds: the mean, with the least and the greatest."""
    each = [overall(table) for table in tables]
    shown = columns(each[0])
    lines = ["| map | " + " | ".join(column.heading for column in shown) + " |"]
    lines.append("| --- |" + " --- |" * len(shown))
    for name in maps_in_order(each[0]):
        cells = [
            spread([scores.get((name, column.metric, column.fill)) for scores in each])
            for column in shown
        ]
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join([*lines, "", *used(tables)])


def spread(rows: list[Mapping[str, Any] | None]) -> str:
    """Return the mean of seeds, with the least and the greatest."""
    values = [row["mean"] for row in rows if row is not None]
    if not values:
        return "–"
    mean = sum(values) / len(values)
    return f"{figure(mean)} ({figure(min(values))} to {figure(max(values))})"


def used(tables: list[pa.Table]) -> Iterator[str]:
    """Yield how many pairs count, for every seed."""
    for table in tables:
        for row in table.to_pylist():
            if row["map"] == MODEL and row["label"] is None:
                heading = METRICS[row["metric"]].heading
                yield f"- {heading}: {row['mean']:.0%} of {row['images']}"


def by_layer(tables: list[pa.Table]) -> str:
    """Return the run's own maps at every layer: means over the seeds."""
    found: dict[tuple[str, int], dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for table in tables:
        for row in table.to_pylist():
            if row["layer"] is not None and row["label"] is None:
                name = f"{row['metric']}, {row['fill']}" if row["fill"] else row["metric"]
                found[row["map"], row["layer"]][name].append(row["mean"])
    names = sorted({name for values in found.values() for name in values})
    lines = [
        "| map | layer | " + " | ".join(names) + " |",
        "|" + " --- |" * (len(names) + 2),
    ]
    for (name, layer), values in sorted(found.items()):
        cells = [
            figure(sum(values[metric]) / len(values[metric])) if metric in values else "–"
            for metric in names
        ]
        lines.append(f"| {name} | {layer} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
