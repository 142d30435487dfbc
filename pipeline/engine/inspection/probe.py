"""What a method returns for a model, found by trying it before any worker starts."""

from contextlib import ExitStack
from dataclasses import dataclass

import torch

from pipeline.config import RunConfig
from pipeline.engine.context import open_method
from pipeline.engine.references import References
from pipeline.errors import ConfigError, UnsupportedModel
from pipeline.flows.heads import HEADS
from pipeline.flows.methods.activation import COUNTS, PEAKS
from pipeline.models import LoadedModel, check_logits
from pipeline.nouns import counted

_TRIED = ("daam", "naflow", "gradcam", "input_gradient")
"""Methods that explain a class, in order of preference."""


@dataclass(frozen=True)
class Probe:
    """What a method returns for a model: layers, grid, extras and sizes.

    ``head_layers`` and ``heads`` are the layers and the most heads whose statistics the run stores.
    ``layer_channels`` is the most channels of a layer whose activations the run counts.
    ``outputs`` is the number of logits, 0 without predictions; ``channels`` the size of the
    embedding, 0 where the run stores none; ``targeted`` whether the maps depend on a class.
    """

    layers: tuple[str, ...]
    grid: tuple[int, int]
    extras: tuple[str, ...]
    outputs: int
    channels: int
    targeted: bool
    head_layers: tuple[str, ...] = ()
    heads: int = 0
    layer_channels: int = 0


def probe(
    config: RunConfig, loaded: LoadedModel, size: tuple[int, int], references: References | None
) -> Probe:
    """Compute the flow of one blank image of ``size`` (H, W) on the CPU.

    Raises
    ------
    ConfigError, UnsupportedModel
        The method rejects its options or the model.
    """
    images = torch.zeros(1, 3, *size)
    if loaded.num_classes:
        check_logits(loaded.model, images)
    listed = references is not None and references.pairs is not None
    with ExitStack() as stack:
        recorder, flow = open_method(config, loaded, references, images.device, stack)
        result = flow(images, torch.zeros(1, 1, dtype=torch.int64) if listed else None)
        channels = 0 if recorder is None else recorder.last.shape[1]
    rows, cols = result.maps.shape[2:]
    if result.maps.shape[1] != len(result.layers):
        raise UnsupportedModel(
            f"{config.flow.method} names {counted(len(result.layers), 'layer')} of "
            f"{config.model.name} but "
            f"returns {counted(result.maps.shape[1], 'map')}; use another flow.method"
        )
    outputs = result.logits.shape[1]
    if references is None and outputs not in (0, loaded.num_classes):
        raise UnsupportedModel(
            f"{config.model.name} has {counted(loaded.num_classes, 'class')} but "
            f"{counted(outputs, 'output')}; "
            "check model.options"
        )
    return Probe(
        layers=result.layers,
        grid=(rows, cols),
        extras=tuple(name for name in result.extras if name not in (HEADS, PEAKS, COUNTS)),
        outputs=outputs,
        channels=channels,
        targeted=not listed and getattr(flow, "targeted", True),
        head_layers=getattr(flow, "head_layers", ()),
        heads=result.extras[HEADS].shape[2] if HEADS in result.extras else 0,
        layer_channels=result.extras[PEAKS].shape[2] if PEAKS in result.extras else 0,
    )


def choose_method(
    config: RunConfig, loaded: LoadedModel, size: tuple[int, int], references: References | None
) -> tuple[RunConfig, Probe]:
    """Replace ``auto`` by the first method that supports the model, and try it.

    For a model without a classifier that is ``fam`` with references, else ``activation``.

    Raises
    ------
    ConfigError, UnsupportedModel
        As :func:`probe`; with ``auto`` the error of the last method tried.
    """
    if config.flow.method != "auto":
        return config, probe(config, loaded, size, references)
    if config.flow.options:
        raise ConfigError("flow.options belong to one method; name it instead of method: auto")
    if references is not None:
        candidates: tuple[str, ...] = ("fam",)
    else:
        candidates = _TRIED if loaded.num_classes else ("activation",)
    for method in candidates:
        flow = config.flow.model_copy(update={"method": method})
        chosen = config.model_copy(update={"flow": flow})
        try:
            return chosen, probe(chosen, loaded, size, references)
        except UnsupportedModel:
            if method == candidates[-1]:
                raise
    raise AssertionError("there is always a method to try")
