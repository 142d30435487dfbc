"""The parts of a step alone, and beside them the plain model and a product of matrices."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn

from pipeline.config import RunConfig
from pipeline.engine.batch import IndexedImage, LoadedBatch, indexed_images
from pipeline.engine.benchmark.operations import counted
from pipeline.engine.benchmark.timing import Timer
from pipeline.engine.compute import ComputedBatch
from pipeline.engine.context import Context, load_configured, open_context, round_weights
from pipeline.engine.reading.open import open_readers
from pipeline.engine.reading.readers import ReadAhead
from pipeline.engine.step.copies import copies_of
from pipeline.engine.step.explain import Explained, explain
from pipeline.engine.step.inputs import Inputs, Uploads, host_inputs
from pipeline.engine.step.micro_batches import MicroBatches
from pipeline.engine.step.program import results_of
from pipeline.engine.usage.clock import Clock
from pipeline.models.structure.logits import tensor_of

_SIDE = {"cpu": 1024, "cuda": 8192}
"""Of the matrices: their product takes long enough to be measured, and fits any such device."""


@dataclass(frozen=True)
class Steps:
    """A run's own batch, and the steps that a worker takes with it."""

    context: Context
    batch: LoadedBatch
    timer: Timer

    def rates(self) -> dict[str, float]:
        """Return the images per second of ``compute``, of ``measure``, and of both: ``step``.

        On a GPU the first two are called one by one, the step is as a worker takes it.
        """
        context, micro = self.context, MicroBatches(self.context)
        given, copies = self._given(self.batch), copies_of(context.device)
        inputs = context.transform.normalise(given["shown"])
        explained = explain(self.batch, inputs, given, context)

        def measured() -> None:
            copies.begin(results_of(self.batch, given, explained, context).tensors).result()

        return self.timer.rates(
            {
                "compute": lambda: explain(self.batch, inputs, given, context),
                "measure": measured,
                "step": lambda: micro.compute(self.batch, Clock()),
            },
            self.images,
        )

    @property
    def images(self) -> int:
        """Of the batch."""
        return len(self.batch)

    def step(self, batch: LoadedBatch) -> float:
        """Return the images per second of all that is done with a batch before its commit."""
        micro = MicroBatches(self.context)
        return self.timer.rate(lambda: micro.compute(batch, Clock()), len(batch))

    def taking(self) -> Callable[[], object]:
        """Return a call that takes a step as a worker does, which keeps what it has recorded."""
        micro = MicroBatches(self.context)
        return lambda: micro.compute(self.batch, Clock())

    def computed(self) -> list[ComputedBatch]:
        """Return the batch's results."""
        return MicroBatches(self.context).compute(self.batch, Clock())

    def operations(self) -> float:
        """Return the floating-point operations of ``compute`` for an image."""
        one = self.batch[:1]
        return counted(lambda: self._explained(one))

    def flows(self, images: int) -> Tensor:
        """Return the accumulated flows (B, h, w) of at most ``images`` images, float32."""
        return self._explained(self.batch[:images]).flow.maps.sum(dim=1).cpu()

    def peak(self) -> int:
        """Return the peak of the GPU's memory during a step, in bytes; 0 without one."""
        if self.context.device.type != "cuda":
            return 0
        torch.cuda.reset_peak_memory_stats(self.context.device)
        self.computed()
        return torch.cuda.max_memory_allocated(self.context.device)

    def inputs(self, batch: LoadedBatch | None = None) -> Tensor:
        """Return a batch, by default its own, as the model gets it: (B, 3, H, W), normalised."""
        given = self._given(self.batch if batch is None else batch)
        return self.context.transform.normalise(given["shown"])

    def _given(self, batch: LoadedBatch) -> Inputs:
        return Uploads(self.context.device).begin(host_inputs(batch, self.context))

    def _explained(self, batch: LoadedBatch) -> Explained:
        return explain(batch, self.inputs(batch), self._given(batch), self.context)


@contextmanager
def open_steps(uri: str, threads: int, config: RunConfig, seconds: float) -> Iterator[Steps]:
    """Open a sample as its worker does, and read its first batch."""
    with open_context(uri, threads=threads, heads=True) as context:
        round_weights(context)
        run, size = context.run, config.flow.batch_size
        images = indexed_images(run.index_rows(0, size), run.box_rows(0, size))
        with first_batch(context, images, threads, config) as batch:
            yield Steps(context, batch, Timer(context.device, seconds))


@contextmanager
def first_batch(
    context: Context, images: list[IndexedImage], threads: int, config: RunConfig
) -> Iterator[LoadedBatch]:
    """Read images as the run's readers do; the batch is valid within the block."""
    with open_readers(context.run, threads, config.cluster.readers) as readers:
        ahead = ReadAhead(images, len(images), readers, (), Clock())
        try:
            yield next(ahead)
        finally:
            ahead.close()


def plain_rates(
    config: RunConfig, images: Tensor, autocast: torch.autocast, timer: Timer
) -> tuple[dict[str, float], dict[str, float]]:
    """Return images per second, and operations per image, of the model without any method.

    ``images`` (B, 3, H, W) are normalised and on the timer's device.
    """
    model = load_configured(config.model).model.to(timer.device).requires_grad_(False)

    def forward(some: Tensor) -> None:
        with torch.no_grad(), autocast:
            model(some)

    def both(some: Tensor) -> None:
        with torch.enable_grad(), autocast:
            given = some.detach().requires_grad_()
            score = _score(model(given), model)
        torch.autograd.grad(score, given)

    steps: dict[str, Callable[[Tensor], None]] = {"forward": forward, "forward+backward": both}
    whole = {name: partial(step, images) for name, step in steps.items()}
    operations = {name: counted(partial(step, images[:1])) for name, step in steps.items()}
    return timer.rates(whole, len(images)), operations


def _score(output: object, model: nn.Module) -> Tensor:
    return tensor_of(output, model).flatten(1).float().amax(dim=1).sum()


def matmul_rate(precision: str, timer: Timer) -> float:
    """Return the floating-point operations per second of a large product of matrices."""
    side = _SIDE[timer.device.type]
    dtype = getattr(torch, precision)
    a, b = (torch.randn(side, side, device=timer.device).to(dtype) for _ in range(2))
    return timer.rate(lambda: a @ b, 1) * 2 * side**3


def rank_correlation(flows: Tensor, others: Tensor) -> float:
    """Return the lowest of the images' rank correlations (Spearman's) of flows (B, h, w).

    1 for flows of a single cell or of constant value, which have no order to lose.
    """
    found = [1.0]
    for one, other in zip(flows.flatten(1), others.flatten(1), strict=True):
        ranks = torch.stack([_ranks(one), _ranks(other)])
        if (ranks.amax(dim=1) > ranks.amin(dim=1)).all():
            found.append(float(ranks.corrcoef()[0, 1]))
    return min(found)


def _ranks(values: Tensor) -> Tensor:
    """Return the ranks of values (n,) in float64, of equal ones their mean."""
    order = values.sort().values
    first = torch.searchsorted(order, values)
    last = torch.searchsorted(order, values, right=True)
    return (first + last).double() / 2


def other_batches(steps: Steps, sizes: list[int]) -> dict[int, float]:
    """Return the images per second of a step by batch size, of the sizes that fit the memory."""
    found: dict[int, float] = {}
    for size in sizes:
        times = -(-size // steps.images)
        images = (list(steps.batch) * times)[:size]
        try:
            found[size] = steps.step(LoadedBatch(images))
        except torch.OutOfMemoryError:
            break
    return found
