"""What a worker keeps open: the model with its hooks, the input transform, the store."""

import inspect
import logging
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import torch
from pydantic import ConfigDict, TypeAdapter, ValidationError
from torch import nn

from pipeline.config import FlowConfig, ModelConfig, RunConfig
from pipeline.engine.reference_run import reference_run
from pipeline.engine.references import References, load_references, method_options
from pipeline.engine.usage.launches import HostLaunches, Launches, launches_of
from pipeline.errors import ConfigError, RunConflict
from pipeline.files.node_cache import local_copy
from pipeline.flows import create_flow
from pipeline.flows.flow import Method
from pipeline.flows.registry import METHODS
from pipeline.images import ImageReader, InputTransform
from pipeline.models import (
    EmbeddingRecorder,
    LoadedModel,
    half_weights,
    load_factory,
    load_model,
    recorded_embeddings,
    transformed,
    with_outputs,
)
from pipeline.store import Run
from pipeline.store.crops import image_reader
from pipeline.store.reader import open_run

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Context:
    """Everything a unit needs; opened once per worker from the run's own run.json.

    ``recorder`` is set if the run stores features, ``references`` if it has some;
    ``independent`` means that the logits are of K independent labels, not of one class out of K.
    """

    run: Run
    model: nn.Module
    flow: Method
    recorder: EmbeddingRecorder | None
    references: References | None
    images: ImageReader
    device: torch.device
    threads: int
    independent: bool = False
    launches: Launches = field(default_factory=HostLaunches)

    @property
    def transform(self) -> InputTransform:
        """The model's input transform."""
        return self.images.transform

    @property
    def measures_boxes(self) -> bool:
        """Whether the run has measures of boxes."""
        return any(column.name == "box_area" for column in self.run.spec.columns)

    @property
    def autocast(self) -> torch.autocast:
        """The precision the model runs in; maps and measures are always float32."""
        precision = self.run.config.flow.precision
        return torch.autocast(
            self.device.type,
            dtype=getattr(torch, precision) if precision != "float32" else None,
            enabled=precision != "float32",
        )


@contextmanager
def open_context(uri: str, *, threads: int, heads: bool = False) -> Iterator[Context]:
    """Open a run for computing, on the GPU if this process sees one: model and hooks in place.

    Parameters
    ----------
    uri : str
        A run that ``create_run`` has written.
    threads : int
        CPU threads for decoding and for torch.
    heads : bool, optional
        Whether the method also gives the statistics of attention heads and the distributions of
        channels, if the run stores them.

    Raises
    ------
    RunConflict
        The weights or the reference run differ from those the run was started with.
    """
    torch.set_num_threads(threads)
    run = open_run(uri)
    config = run.config
    place = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    loaded = load_configured(config.model)
    if loaded.weights_sha256 != run.spec.weights_sha256:
        raise RunConflict(
            f"{_weights(config.model)} are not those this run started with "
            f"(sha256 {loaded.weights_sha256[:12]}, not {run.spec.weights_sha256[:12]})"
        )
    references = _references(run, config)
    loaded.model.to(place)
    with ExitStack() as stack:
        extra = {name: getattr(config.flow, name) and heads for name in ("heads", "channels")}
        wanted = config.flow.model_copy(update=extra)
        asked = config.model_copy(update={"flow": wanted})
        recorder, flow = open_method(asked, loaded, references, place, stack)
        yield Context(
            run=run,
            model=loaded.model,
            flow=flow,
            recorder=recorder,
            references=references,
            images=image_reader(run),
            device=place,
            threads=threads,
            independent=loaded.independent and references is None,
            launches=launches_of(place),
        )


def round_weights(context: Context) -> None:
    """Round weights once that autocast would round for every batch, where that gives the same.

    The model can then only be used under the context's autocast.
    """
    precision = context.run.config.flow.precision
    if precision == "float32":
        return
    random = torch.Generator().manual_seed(0)
    images = torch.randn(2, 3, *context.transform.size, generator=random).to(context.device)

    def call() -> tuple[torch.Tensor, torch.Tensor]:
        with context.autocast:
            flow = context.flow(images)
        return flow.maps, flow.logits

    rounded = False
    with suppress(Exception):  # of a method that needs more; others show at the first batch
        rounded = half_weights(context.model, getattr(torch, precision), call)
    _log.info("weights are rounded to %s: %s", precision, "once" if rounded else "by autocast")


def _weights(model: ModelConfig) -> str:
    if model.factory is not None:
        return f"the weights or the code of {model.factory}"
    return f"the weights at {model.weights}"


def load_configured(model: ModelConfig) -> LoadedModel:
    """Load the model of a configuration, with the configured outputs and transform."""
    weights, key = local_copy(model.weights), model.weights_key
    if model.factory is not None:
        given = model.input.model_dump(exclude_none=True, mode="json")
        loaded = load_factory(model.factory, weights, model.options, given, key)
    else:
        loaded = load_model(model.name, weights, model.options, weights_key=key)
    embeddings = model.class_embeddings and local_copy(model.class_embeddings)
    loaded = with_outputs(loaded, model.name, model.output, embeddings)
    return transformed(loaded, model.transform, model.transform_options)


def open_method(
    config: RunConfig,
    loaded: LoadedModel,
    references: References | None,
    device: torch.device,
    stack: ExitStack,
) -> tuple[EmbeddingRecorder | None, Method]:
    """Bind the configured method to a model on ``device`` until ``stack`` closes.

    The embeddings of every forward pass are recorded if the run stores them.

    Raises
    ------
    ConfigError, UnsupportedModel
        The method rejects its options or the model.
    """
    options = method_options(config.flow, references, device)
    options |= _of_right_types(config.flow)
    if config.flow.channels:
        if config.flow.method != "activation":
            raise ConfigError(
                f"flow.channels needs flow.method: activation, not {config.flow.method}; the maps "
                "of another method are another run"
            )
        options["channels"] = True
    recorder = None
    if config.flow.features:
        recorder = stack.enter_context(recorded_embeddings(loaded.model, config.flow.embedding))
    try:
        flow = create_flow(config.flow.method, loaded.model, config.flow.heads, **options)
    except ValueError as error:  # an option is out of range
        raise ConfigError(f"flow.options: {error}") from error
    return recorder, stack.enter_context(flow)


def _of_right_types(flow: FlowConfig) -> dict[str, Any]:
    """Return the user's options, converted to the types in the method's signature."""
    method, options = METHODS.get(flow.method), dict(flow.options)
    known = {} if method is None else inspect.signature(method, eval_str=True).parameters
    for name in options.keys() & known.keys():
        kind = TypeAdapter(known[name].annotation, config=ConfigDict(arbitrary_types_allowed=True))
        try:
            options[name] = kind.validate_python(options[name])
        except ValidationError as error:
            message = error.errors(include_url=False, include_input=False)[0]["msg"]
            raise ConfigError(f"flow.options.{name}: {message}") from None
    return options


def _references(run: Run, config: RunConfig) -> References | None:
    source, asked = reference_run(config), config.flow.references
    if source is None or asked is None:
        return None
    if source.spec.hash != run.spec.references:
        raise RunConflict(
            f"the reference run {source.uri} is not the one this run started with; "
            "choose another run folder"
        )
    return load_references(source, asked, run.spec.root)
