"""``reference_run``: the other run that images are compared with. Needs no torch."""

from collections.abc import Mapping
from typing import Any

from pipeline.config import RunConfig
from pipeline.errors import ConfigError, FlowatlasError
from pipeline.images import crop_alike
from pipeline.store import Run
from pipeline.store.reader import open_run


def reference_run(config: RunConfig) -> Run | None:
    """Open the reference run; None if the configuration has none.

    Raises
    ------
    ConfigError
        It is missing, unfinished, or stores no features.
    """
    if config.flow.references is None:
        return None
    uri = config.flow.references.run
    try:
        run = open_run(uri)
    except FlowatlasError as error:
        raise ConfigError(f"flow.references.run: {error}") from error
    if not run.finished:
        raise ConfigError(f"flow.references.run: {uri} is not finished; complete it first")
    if run.spec.multi_label:
        raise ConfigError(
            f"flow.references.run: {uri} has several labels per image; references have one each"
        )
    if not run.spec.channels:
        raise ConfigError(
            f"flow.references.run: {uri} stores no features; compute it with flow.features: true"
        )
    return run


def check_references(
    config: RunConfig, run: Run, weights_sha256: str, image: Mapping[str, Any]
) -> None:
    """Raise ConfigError unless both runs embed images in the same way."""
    mine, theirs = config.model, run.config.model
    different = [
        what
        for what, same in {
            "model.name": (mine.name, mine.factory) == (theirs.name, theirs.factory),
            "weights": weights_sha256 == run.spec.weights_sha256,
            "model.output": mine.output == theirs.output,
            "model.transform": (mine.transform, mine.transform_options)
            == (theirs.transform, theirs.transform_options),
            "input transform": crop_alike(image, run.spec.input),
            "flow.embedding": config.flow.embedding == run.config.flow.embedding,
        }.items()
        if not same
    ]
    if different:
        raise ConfigError(
            f"flow.references.run: {run.uri} differs in {', '.join(different)}, so its "
            "features cannot be compared with this run's; compute them with the same model"
        )
