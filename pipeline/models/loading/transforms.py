"""Changes of a loaded model that need no training, by name."""

import inspect
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from torch import nn

from pipeline.errors import ConfigError
from pipeline.models.loading.load import LoadedModel
from pipeline.models.loading.sata import sata

TRANSFORMS: dict[str, Callable[..., nn.Module]] = {"sata": sata}


def transformed(
    loaded: LoadedModel, name: str | None, options: Mapping[str, Any] | None = None
) -> LoadedModel:
    """Return the model changed by the transform ``name``, or as it is if that is None.

    Raises
    ------
    ConfigError
        There is no such transform or option, or the value of an option is invalid.
    UnsupportedModel
        The transform does not fit the model.
    """
    options = dict(options or {})
    if name is None:
        if options:
            raise ConfigError("model.transform_options are given without a model.transform")
        return loaded
    if name not in TRANSFORMS:
        raise ConfigError(
            f"there is no model.transform {name!r}; use {', '.join(TRANSFORMS)} or null"
        )
    transform = TRANSFORMS[name]
    known = list(inspect.signature(transform).parameters)[1:]
    if unknown := [option for option in options if option not in known]:
        raise ConfigError(
            f"model.transform_options: {name} has no option {unknown[0]!r}; "
            f"it has {', '.join(known)}"
        )
    try:
        return replace(loaded, model=transform(loaded.model, **options))
    except (TypeError, ValueError) as error:
        raise ConfigError(f"model.transform_options: {error}") from error
