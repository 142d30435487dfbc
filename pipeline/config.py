"""``RunConfig``: the configuration of a run, read from YAML, and its canonical hash."""

import hashlib
import json
import os
import sys
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import yaml
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StrictInt,
    StrictStr,
    ValidationError,
    field_validator,
    model_validator,
)

from pipeline.errors import ConfigError
from pipeline.files.urls import has_secret, is_url, shown


class _Section(BaseModel):
    # Inputs are not repeated in error messages: a URL may hold a password.
    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


def _plain(value: Any) -> Any:
    if isinstance(value, str) and has_secret(value):
        raise ValueError(
            f"{shown(value)} contains a user, password or query, which would be stored with the "
            "run; give credentials in the environment (AWS_ACCESS_KEY_ID, …) and a plain URL"
        )
    return value


Uri = Annotated[str, BeforeValidator(_plain)]
"""A local path or a URL without credentials."""


class DatasetConfig(_Section):
    """Where the images, labels and boxes are."""

    source: Uri
    """Folder with one subfolder per class; CSV/Parquet table with a column of image URIs;
    WebDataset ``.tar`` archives or Parquet files with image bytes: one, a folder of them, a glob or
    ``val-{000..049}.tar``. Local, ``s3://`` or ``gs://``."""
    kind: Literal["auto", "folder", "table", "webdataset", "parquet"] = "auto"
    root: Uri | None = None
    """What relative URIs of a table are relative to; the table's own folder if not given."""
    classes: Uri | None = None
    """``imagenet-1k``, or a file of class names: JSON list, JSON index → name, or one per line."""
    labels: Uri | None = None
    """JSON file that maps a folder name (or a label of the table) to the model's class index."""
    image_column: str | None = None
    """Column with the images (a table: their URIs); of archives, the kind of member: ``jpg``."""
    label_column: str | None = None
    """Column with the labels (of archives: .json field or kind of member); ``label``, ``class``,
    ``target`` and the like if not given."""
    exclude: tuple[str, ...] | None = None
    """Patterns of files in a folder or an archive that are not images of the dataset:
    ``*_mask.png``, ``masks/**``. With ``[]`` all are, even those named like masks of others."""
    label_separator: Annotated[str, Field(min_length=1)] | None = None
    """What is between the labels of an image that has several in one text: ``|`` in ``cat|dog``."""
    label_columns: tuple[str, ...] | None = Field(default=None, min_length=1)
    """Columns of 0 and 1 (of archives: .json fields), one for each class and called like it, where
    an image may have several labels. An empty value is 0."""
    bit_depth: int | None = Field(default=None, ge=8, le=16)
    """Significant bits of 16-bit images whose files do not record them: with 12, 0 is black and
    4,095 is white. Without it, images that seem to use fewer than 16 are quarantined."""
    boxes: Uri | None = None
    """CSV/Parquet table: the URI column of the index, x0, y0, x1, y1 in pixels; one row per box."""


class InputConfig(_Section):
    """Overrides of the model's own evaluation transform, with timm's names."""

    size: tuple[int, int] | None = None
    """Height and width in pixels."""
    mean: tuple[float, float, float] | None = None
    std: tuple[float, float, float] | None = None
    interpolation: Literal["nearest", "bilinear", "bicubic", "lanczos"] | None = None
    crop_pct: float | None = Field(default=None, gt=0, le=1)
    crop_mode: Literal["center", "squash", "border"] | None = None
    resize: Literal["pillow", "torch"] | None = None
    """``torch``, the default of new runs, is several times faster than Pillow; of 8-bit values 4
    in 1,000 differ by one level, 4 in a million by two. A run keeps what it was started with."""


class ModelConfig(_Section):
    """A timm model, or one that a function builds, and its weights."""

    name: str
    """The model's name in timm; with a ``factory`` any name, by default the factory's."""
    factory: str | None = None
    """``package.module:function`` that returns the model, or the model and its input. Its code
    is run; it is looked up on PYTHONPATH and in the configuration's folder."""
    weights: Uri = "pretrained"
    """``pretrained``, or a .safetensors file; pickled files only if loading them runs no code."""
    weights_key: str | None = None
    """Key of the weights in a checkpoint; by default its EMA weights, else ``state_dict``."""
    output: Literal["auto", "softmax", "sigmoid", "embedding"] = "auto"
    """What the outputs are: logits of one class out of K, independent logits of K labels (or one
    output for two classes), or an embedding without classes. ``auto``: two classes for a single
    output, an embedding for a projection that timm knows (CLIP), else a softmax."""
    threshold: float = Field(default=0.5, gt=0, lt=1)
    """Score of a sigmoid output from which its label is predicted, where images have several."""
    class_embeddings: Uri | None = None
    """Zero-shot classes of a model that embeds images, such as CLIP: a .safetensors or .npy file
    with the embeddings (C, D) of C prompts."""
    options: dict[str, Any] = Field(default_factory=dict)
    """Further arguments of ``timm.create_model``, e.g. ``img_size``, or of the factory."""
    transform: Literal["sata"] | None = None
    """A training-free change of the model; methods then explain the changed model."""
    transform_options: dict[str, Any] = Field(default_factory=dict)
    input: InputConfig = InputConfig()

    @model_validator(mode="before")
    @classmethod
    def _named(cls, content: Any) -> Any:
        if isinstance(content, dict) and isinstance(content.get("factory"), str):
            return {"name": content["factory"], **content}
        return content


_LATER = {
    "dataset": ("bit_depth", "exclude", "label_separator", "label_columns"),
    "model": ("factory", "weights_key", "output", "class_embeddings", "threshold"),
    "flow": ("max_outputs", "heads", "channels"),
}
"""Fields added later; they are left out of the identity if they have their default, so that older
runs resume."""


class ReferencesConfig(_Section):
    """The images that a method compares with: another run's, by their stored features."""

    run: str
    """A finished run of the same model with ``flow.features: true``; labels are its labels."""
    by: Literal["prototypes", "neighbours", "table"] = "prototypes"
    """An image is compared with the mean of each class, its nearest images, or those listed."""
    k: int = Field(default=20, ge=1)
    """Number of neighbours that vote and are compared with."""
    table: str | None = None
    """CSV/Parquet table of pairs: columns ``uri`` (this dataset), ``reference`` (the other)."""

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if (self.table is None) == (self.by == "table"):
            raise ValueError("table and by: table must be set together")
        return self


class FlowConfig(_Section):
    """The method and how its maps are stored."""

    method: str = "daam"
    """A method of README.md; ``auto`` takes the first that supports the model: daam, naflow,
    gradcam or input_gradient; without a classifier fam (with references) or activation."""
    target: StrictInt | StrictStr = "predicted"
    """``predicted``, ``label``, ``both`` (label maps as well), or one class: its index or name.
    Where images have several labels: the ``predicted`` labels, or every ``label`` of the image."""
    max_outputs: int = Field(default=3, ge=1)
    """Where images have several labels and the target is ``predicted``: at most this many outputs
    of each image are explained, those with the highest scores."""
    embedding: Literal["model", "pooled"] = "model"
    """``model``: what the classifier reads; ``pooled``: the mean of the last activations."""
    features: bool = False
    """Store the embedding of every image."""
    heads: bool = False
    """Store statistics of all attention heads of every image: entropy, distance in the image,
    shares on prefix tokens, on sinks and on itself. For vision transformers, with any method."""
    channels: bool = False
    """Store histograms of the activations of every channel and layer over all images, and the
    largest activation of every image: a fingerprint of the dataset. For ``method: activation``."""
    references: ReferencesConfig | None = None
    precision: Literal["auto", "float32", "bfloat16", "float16"] = "float32"
    """What the model computes in. ``auto``: bfloat16 on this machine's GPU, if it has it and the
    method's flow keeps its ranks in it (daam, attention, rollout, relevance, activation); else
    float32, as on any CPU, where ``flowatlas benchmark`` says what bfloat16 is worth."""
    batch_size: int = Field(default=64, ge=1)
    store: Literal["float16", "float32"] = "float16"
    options: dict[str, Any] = Field(default_factory=dict)


ReadersKind = Literal["auto", "threads", "processes"]


class ClusterConfig(_Section):
    """Where the run is computed; results do not depend on it, up to rounding by thread count."""

    engine: Literal["ray", "local"] = "ray"
    address: str | None = None
    """A running Ray cluster (``auto`` or ``ray://…``); by default that of the surrounding Ray
    job, or Ray is started on this machine, as ``local`` always does."""
    actors: int | Literal["auto"] = "auto"
    """At most this many; an autoscaler is asked for their nodes. ``auto``: as many as there is
    room for, including on nodes that join later."""
    gpus_per_actor: float | Literal["auto"] = "auto"
    """May be a fraction of one. ``auto``: 1 where the cluster has GPUs at the start, else 0."""
    cpus_per_actor: int | Literal["auto"] = "auto"
    """Threads of each actor. ``auto``: 4 with a GPU, else 1."""
    readers: ReadersKind = "auto"
    """What reads images, ``cpus_per_actor`` of them: ``threads`` of the actor, or ``processes``,
    which leave its process to the GPU and die alone of an image that crashes its decoder.
    ``auto``: processes beside a GPU, else threads."""
    patience: float = Field(default=600, ge=0)
    """Seconds to wait for a node with room when there is none."""

    @field_validator("actors", "cpus_per_actor", "gpus_per_actor")
    @classmethod
    def _positive(cls, value: float | str, info: Any) -> float | str:
        if isinstance(value, str):
            return value
        if value < (0 if info.field_name == "gpus_per_actor" else 1):
            raise ValueError("must be positive")
        if info.field_name == "gpus_per_actor" and value > 1 and value != int(value):
            raise ValueError(
                "must be a whole number above 1: an actor has whole GPUs, or a part of one"
            )
        return value


class LimitsConfig(_Section):
    """When to give up."""

    quarantine: float = Field(default=0.01, ge=0, le=1)
    """Largest tolerated share of images that cannot be used."""
    attempts: int = Field(default=3, ge=1)
    """How often a unit may fail before the run fails."""
    max_pixels: int = Field(default=100_000_000, ge=1)
    """Images with more pixels are quarantined as decompression bombs."""


class RunConfig(_Section):
    """One dataset × one model × one method, in one folder or object-store prefix."""

    run: Uri
    dataset: DatasetConfig
    model: ModelConfig
    flow: FlowConfig = FlowConfig()
    unit_rows: int | None = Field(default=None, ge=1)
    """Rows of a unit (one Zarr shard); chosen from the bytes per image if not given."""
    cluster: ClusterConfig = ClusterConfig()
    limits: LimitsConfig = LimitsConfig()

    def identity(self) -> dict[str, Any]:
        """Return the part of the configuration that determines the results.

        The run's location, the cluster and the failure limits are left out: a run may move to
        another machine or be resumed with other actors. ``max_pixels`` decides what is
        quarantined, so it is included.
        """
        content = self.model_dump(mode="json", exclude={"run", "cluster", "limits"})
        content["max_pixels"] = self.limits.max_pixels
        for section, names in _LATER.items():
            fields = type(getattr(self, section)).model_fields
            for name in names:
                if content[section][name] == fields[name].default:
                    del content[section][name]
        if self.model.input.resize is None:
            del content["model"]["input"]["resize"]
        return content

    def hash(self) -> str:
        """Return the canonical hash of :meth:`identity` (32 hex digits)."""
        return content_hash(self.identity())


def content_hash(content: Any) -> str:
    """Return blake2b-128 of the canonical JSON (sorted keys, no spaces) of ``content``, in hex."""
    text = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


def load_config(path: str | Path) -> RunConfig:
    """Read a YAML configuration; relative local paths are relative to the file's folder.

    Raises
    ------
    ConfigError
        The file is missing or is not YAML, or fields are unknown or out of range (all are named).
    """
    path = Path(path)
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {error.strerror or error}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} is not valid YAML: {error}") from error
    if not isinstance(content, dict):
        raise ConfigError(f"{path} must hold a mapping with run, dataset and model")
    try:
        config = RunConfig.model_validate(content)
    except ValidationError as error:
        raise ConfigError(f"{path}: {_sentences(error)}") from None
    folder = path.resolve().parent
    if config.model.factory is not None and str(folder) not in sys.path:
        # Last, so that nothing there hides an installed module; workers started here inherit it.
        sys.path.append(str(folder))
        inherited = os.environ.get("PYTHONPATH", "").split(os.pathsep)
        os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [*inherited, str(folder)]))
    return _anchor(config, folder)


def _sentences(error: ValidationError) -> str:
    return "; ".join(
        f"{'.'.join(str(part) for part in item['loc']) or 'config'}: {item['msg']}"
        for item in error.errors(include_url=False, include_input=False)
    )


def _anchor(config: RunConfig, folder: Path) -> RunConfig:
    """Make the relative local paths of a configuration absolute."""

    def place(value: str | None) -> str | None:
        if value is None or is_url(value) or Path(value).is_absolute():
            return value
        return os.path.normpath(folder / value)

    dataset = config.dataset.model_copy(
        update={
            "source": place(config.dataset.source),
            "root": place(config.dataset.root),
            "labels": place(config.dataset.labels),
            "boxes": place(config.dataset.boxes),
            "classes": config.dataset.classes
            if config.dataset.classes == "imagenet-1k"
            else place(config.dataset.classes),
        }
    )
    weights = config.model.weights
    model = config.model.model_copy(
        update={
            "weights": weights if weights == "pretrained" else place(weights),
            "class_embeddings": place(config.model.class_embeddings),
        }
    )
    flow = config.flow
    if flow.references is not None:
        places = {name: place(getattr(flow.references, name)) for name in ("run", "table")}
        flow = flow.model_copy(update={"references": flow.references.model_copy(update=places)})
    return config.model_copy(
        update={"run": place(config.run), "dataset": dataset, "model": model, "flow": flow}
    )
