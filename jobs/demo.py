"""A demonstration on generated data: a tag is planted, a model learns it, the audit finds it."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
import yaml
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from jobs.flows import compute
from jobs.run import explain
from pipeline.config import load_config
from pipeline.console.command import console, run_command, say
from pipeline.console.engines import Local
from pipeline.nouns import counted

if TYPE_CHECKING:
    from pipeline.synthetic import Epoch, Recipe, ShapesSet, Tag, Trained


def demo(
    folder: Annotated[Path, typer.Argument(help="Where everything is written.")] = Path(
        "flowatlas-demo"
    ),
    quick: Annotated[
        bool, typer.Option("--quick", help="Fewer images and classes, and a smaller model.")
    ] = False,
    control: Annotated[
        bool, typer.Option("--control", help="The same images without the planted tag.")
    ] = False,
    seed: Annotated[int, typer.Option(min=0, help="Of the images and of the training.")] = 0,
    local: Local = False,
) -> None:
    """Generate labelled images with a planted tag, train a model, audit both, write the report.

    Everything after the training is what a real run does, through the same code. The training is
    cached in the folder and the run resumes, so a second demo takes seconds.
    """
    from pipeline.synthetic import Recipe, Tag

    size = "-quick" if quick else ""
    place = folder / f"{'control' if control else 'planted'}{size}-{seed}"
    recipe = Recipe(depth=4, epochs=14, batch_size=32, seed=seed) if quick else Recipe(seed=seed)
    images, classes = (400, 4) if quick else (2000, 8)
    shapes = _generate(place / "data", images, classes, None if control else Tag(), seed)
    trained = _train(shapes, recipe, folder / "models")
    config = load_config(_configure(place, shapes, trained, recipe, local))
    compute(config)
    explain(config)


def _generate(data: Path, images: int, classes: int, tag: "Tag | None", seed: int) -> "ShapesSet":
    from pipeline.synthetic import write_shapes

    shapes = write_shapes(data, images=images, classes=classes, seed=seed, tag=tag)
    planted = "no tag"
    if tag:
        planted = f"a tag on {tag.share:.0%} of class “{shapes.classes[tag.label]}”"
    say(f"{counted(images, 'image')} in {counted(len(shapes.classes), 'class')}, {planted}; {data}")
    return shapes


def _train(shapes: "ShapesSet", recipe: "Recipe", cache: Path) -> "Trained":
    from pipeline.synthetic import train_cached

    bar = Progress(
        TextColumn("training"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("epochs, loss {task.fields[loss]:.2f}"),
        TimeRemainingColumn(),
        console=console,
        disable=not console.is_terminal,
    )
    task = bar.add_task("training", total=recipe.epochs, loss=float("nan"))

    def show(epoch: "Epoch") -> None:
        bar.update(task, completed=epoch.done, loss=epoch.loss)
        if not console.is_terminal and (epoch.done % 4 == 0 or epoch.done == epoch.of):
            say(f"training: epoch {epoch.done} of {epoch.of}, loss {epoch.loss:.2f}")

    with bar:
        trained = train_cached(shapes, recipe, cache, show)
    how = "trained earlier" if trained.cached else "trained from scratch"
    say(f"model {how}: {trained.accuracy:.1%} of the images right")
    return trained


def _configure(
    place: Path, shapes: "ShapesSet", trained: "Trained", recipe: "Recipe", local: bool
) -> Path:
    """Write the configuration of the run as a user would, with paths relative to its folder."""
    from pipeline.synthetic.train import MEAN, MODEL, STD

    config = {
        "run": "run",
        "dataset": {
            "source": os.path.relpath(shapes.images, place),
            "boxes": os.path.relpath(shapes.boxes, place),
        },
        "model": {
            "name": MODEL,
            "weights": os.path.relpath(trained.weights, place),
            "options": recipe.options(),
            "input": {
                "size": [recipe.size, recipe.size],
                "mean": [MEAN] * 3,
                "std": [STD] * 3,
                "crop_pct": 1.0,
            },
        },
        "cluster": {"engine": "local"}
        if local
        else {"actors": 2, "cpus_per_actor": 1, "gpus_per_actor": 0},
    }
    path = place / "config.yaml"
    path.write_text(yaml.safe_dump(config, sort_keys=False), encoding="utf-8")
    return path


if __name__ == "__main__":
    run_command(demo)
