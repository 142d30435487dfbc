"""``Inspection``: what a run needs to know of its model and method. Needs no torch."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from pipeline.models import Outputs


@dataclass(frozen=True)
class HubFile:
    """A file in a repository of the Hugging Face hub; ``revision`` is None for the newest."""

    repository: str
    revision: str | None
    name: str


@dataclass(frozen=True)
class Inspection:
    """What trying a method on a model has shown.

    Attributes
    ----------
    method : str
        The method that was tried; where the configuration says ``auto``, the one chosen.
    layers, grid, extras
        Of its maps: names, rows and columns, and what it returns beside them.
    logits : int
        How many outputs the model has; 0 without predictions.
    channels : int
        The size of the embedding; 0 where the run stores none.
    targeted : bool
        Whether the maps depend on a class.
    outputs : Outputs
        The names that the model's own weights, or ImageNet, give its outputs.
    weights_sha256 : str
        The hash of the weights that were tried.
    input : dict
        The model's input transform with the configuration's overrides, as JSON.
    independent : bool
        Whether the logits are of independent labels.
    notes : tuple of str
        What was assumed about the model, in sentences.
    code_version : str
        The versions of flowatlas, torch and timm.
    hub : HubFile or None
        Where on a hub the weights are from.
    head_layers, heads
        Of the statistics of attention heads: names of the layers, and the most heads of one; 0
        where the run stores none.
    """

    method: str
    layers: tuple[str, ...]
    grid: tuple[int, int]
    extras: tuple[str, ...]
    logits: int
    channels: int
    targeted: bool
    outputs: Outputs
    weights_sha256: str
    input: dict[str, Any]
    independent: bool
    notes: tuple[str, ...]
    code_version: str
    hub: HubFile | None = None
    head_layers: tuple[str, ...] = ()
    heads: int = 0
    layer_channels: int = 0

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON types."""
        return asdict(self)

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> "Inspection":
        """Inverse of :meth:`to_json`; TypeError or KeyError for anything else."""
        rows, columns = content["grid"]
        lists = {
            name: tuple(content[name]) for name in ("layers", "extras", "notes", "head_layers")
        }
        outputs = Outputs(**content["outputs"])
        names = None if outputs.names is None else tuple(outputs.names)
        outputs = Outputs(outputs.owner, outputs.count, names, tuple(outputs.identifiers))
        hub = content["hub"] and HubFile(**content["hub"])
        return cls(**{**content, **lists, "grid": (rows, columns), "outputs": outputs, "hub": hub})
