"""``inspect_model``: load a configuration's model and try the method on it."""

from collections.abc import Mapping

import timm
import torch

import pipeline
from pipeline.config import RunConfig
from pipeline.engine.context import load_configured
from pipeline.engine.inspection.hub import hub_file
from pipeline.engine.inspection.inspection import HubFile, Inspection
from pipeline.engine.inspection.probe import choose_method
from pipeline.engine.reference_run import check_references
from pipeline.engine.references import load_references
from pipeline.images import InputTransform
from pipeline.models import LoadedModel, Outputs, class_names, imagenet_outputs, own_outputs
from pipeline.models.outputs.output_names import IMAGENET_1K
from pipeline.store import Run


def inspect_model(config: RunConfig, root: str, compared: Run | None) -> Inspection:
    """Load the model on this machine's CPU and try the method, on the run's own input.

    Parameters
    ----------
    config : RunConfig
    root : str
        What the dataset's URIs are relative to.
    compared : Run or None
        The run of the references.

    Raises
    ------
    ConfigError, UnsupportedModel
        The model cannot be built or loaded, or the method rejects its options, the references or
        the model.
    """
    loaded = load_configured(config.model)
    transform = _transform(config, loaded)
    references, asked = None, config.flow.references
    if compared is not None and asked is not None:
        check_references(config, compared, loaded.weights_sha256, transform.to_dict())
        references = load_references(compared, asked, root)
    config, tried = choose_method(config, loaded, transform.size, references)
    return Inspection(
        method=config.flow.method,
        layers=tried.layers,
        grid=tried.grid,
        extras=tried.extras,
        logits=tried.outputs,
        channels=tried.channels,
        targeted=tried.targeted,
        head_layers=tried.head_layers,
        heads=tried.heads,
        layer_channels=tried.layer_channels,
        outputs=_outputs(config, loaded, 0 if compared else tried.outputs),
        weights_sha256=loaded.weights_sha256,
        input=transform.to_dict(),
        independent=loaded.independent,
        notes=loaded.notes,
        code_version=(
            f"flowatlas {pipeline.__version__}, torch {torch.__version__}, timm {timm.__version__}"
        ),
        hub=_hub(config, loaded),
    )


def _hub(config: RunConfig, loaded: LoadedModel) -> HubFile | None:
    found = getattr(loaded.model, "pretrained_cfg", None)
    if config.model.weights != "pretrained" or not isinstance(found, Mapping):
        return None
    return hub_file(found)


def _transform(config: RunConfig, loaded: LoadedModel) -> InputTransform:
    """Return the model's own transform with the configuration's overrides."""
    overrides = config.model.input.model_dump(exclude_none=True, mode="json")
    return InputTransform.from_dict({"resize": "torch", **loaded.input, **overrides})


def _outputs(config: RunConfig, loaded: LoadedModel, logits: int) -> Outputs:
    """Return the outputs with the names of the model's own weights, or of ImageNet."""
    name = config.model.name
    if not logits:
        return Outputs(name, 0)
    if config.dataset.classes == IMAGENET_1K:
        class_names(IMAGENET_1K, logits)  # refuses another number of outputs
        return imagenet_outputs(name, logits)
    return own_outputs(loaded.model, name, logits)
