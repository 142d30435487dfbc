"""A run of a small model that was trained on shapes with a tag, and so uses it."""

from pathlib import Path

from pipeline.config import RunConfig
from pipeline.engine import LocalEngine, run_flows
from pipeline.store import Run, open_run
from pipeline.synthetic import Recipe, Tag, train_cached, write_shapes
from pipeline.synthetic.train import MEAN, MODEL, STD

RECIPE = Recipe(size=32, width=32, depth=2, heads=2, epochs=12, batch_size=16)
TAG = Tag(label=1, share=0.5, corner="tr")


def trained_run(folder: Path) -> Run:
    """Write 240 images in four classes, train on them, compute the flows."""
    shapes = write_shapes(folder / "data", images=240, classes=4, size=32, tag=TAG)
    trained = train_cached(shapes, RECIPE, folder / "models")
    config = RunConfig.model_validate(
        {
            "run": str(folder / "run"),
            "dataset": {"source": str(shapes.images), "boxes": str(shapes.boxes)},
            "model": {
                "name": MODEL,
                "weights": str(trained.weights),
                "options": RECIPE.options(),
                "input": {
                    "size": [32, 32],
                    "mean": [MEAN] * 3,
                    "std": [STD] * 3,
                    "crop_pct": 1.0,
                },
            },
        }
    )
    run_flows(config, engine=LocalEngine())
    return open_run(config.run)
