"""What a worker holds while it lives: the model with its hooks, the input transform, the store."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch

from pipeline.errors import RunConflict
from pipeline.flows import create_flow
from pipeline.flows.flow import Method
from pipeline.images import Fetcher, InputTransform
from pipeline.models import load_model
from pipeline.store import Run, open_run


@dataclass(frozen=True)
class Context:
    """Everything ``process_unit`` needs; opened once per worker from the run's own run.json."""

    run: Run
    flow: Method
    transform: InputTransform
    fetcher: Fetcher
    device: torch.device
    threads: int

    @property
    def autocast(self) -> torch.autocast:
        """The precision the model runs in; maps and measures are float32 in any case."""
        precision = self.run.config.flow.precision
        return torch.autocast(
            self.device.type,
            dtype=getattr(torch, precision) if precision != "float32" else None,
            enabled=precision != "float32",
        )


@contextmanager
def open_context(uri: str, *, threads: int) -> Iterator[Context]:
    """Open a run for computing, on the GPU if this process sees one: model and hooks in place.

    Parameters
    ----------
    uri : str
        A run that ``create_run`` has written.
    threads : int
        CPU threads for decoding and for torch.

    Raises
    ------
    RunConflict
        The weights are not those the run was planned with.
    """
    torch.set_num_threads(threads)
    run = open_run(uri)
    config = run.config
    place = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    loaded = load_model(config.model.name, config.model.weights, config.model.options)
    if loaded.weights_sha256 != run.spec.weights_sha256:
        raise RunConflict(
            f"the weights at {config.model.weights} are not those this run started with "
            f"(sha256 {loaded.weights_sha256[:12]}, not {run.spec.weights_sha256[:12]})"
        )
    with create_flow(config.flow.method, loaded.model.to(place), **config.flow.options) as flow:
        yield Context(
            run=run,
            flow=flow,
            transform=InputTransform.from_dict(run.spec.input),
            fetcher=Fetcher(run.spec.root),
            device=place,
            threads=threads,
        )
