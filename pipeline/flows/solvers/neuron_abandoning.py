"""Neuron abandoning back-propagation: a trunk inverted from its last point to its first."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from pipeline.flows.solvers.closed_form import closed
from pipeline.flows.solvers.linearisation import linearise, pushed_forward
from pipeline.flows.solvers.lsmr import lsmr
from pipeline.models.structure.segments import AFFINE, Segment
from pipeline.models.structure.tape import Op, replay, working
from pipeline.models.structure.trunk import Trunk


@dataclass(frozen=True)
class Backward:
    """The result: the back-propagated feature map of every segment's target, and its residual.

    ``maps`` place → tensor shaped as the target, float; ``residuals`` place → (B,), of its
    solution, 0 where it was exact. Both go back to the first place of the trunk's layout.
    """

    maps: dict[int, Tensor]
    residuals: dict[int, Tensor]


@dataclass(frozen=True)
class _Equations:
    """``ops`` lead from ``source`` to ``targets``, which should equal ``wanted``."""

    source: Tensor
    ops: tuple[Op, ...]
    targets: tuple[Tensor, ...]
    wanted: tuple[Tensor, ...]

    def run(self, value: Tensor) -> tuple[Tensor, ...]:
        return replay(self.ops, self.source, value, self.targets)


def walk_back(
    trunk: Trunk,
    importance: Sequence[Tensor],
    *,
    iterations: int,
    tolerance: float,
    damping: float,
) -> Backward:
    """Invert a trunk; see :mod:`pipeline.flows.methods.naflow` for what is computed.

    Parameters
    ----------
    trunk
        Segments of a forward pass of B images.
    importance
        Gradient of the score at every segment's target; only where it is zero counts.
    iterations, tolerance, damping
        Of the solver, :func:`pipeline.flows.solvers.lsmr.lsmr`.
    """
    place = len(trunk.segments) - 1
    current, exact = working(trunk.features), working(trunk.logits).new_zeros(len(trunk.logits))
    maps, residuals = {place: current}, {place: exact}
    while place > trunk.places[0]:
        segment = trunk.segments[place]
        inverse = closed(segment, working(segment.source), current, damping)
        if inverse is not None:
            found, residual = {place - 1: inverse}, exact
        else:
            equations, start = _merged(trunk.segments, place, current)
            x = working(equations.source)
            kinds = {op.kind for op in equations.ops}
            linear = linearise(equations.run, x, affine=kinds <= AFFINE)
            wanted = torch.cat([part.flatten(1) for part in equations.wanted], dim=1)
            solution = lsmr(
                linear.forward,
                linear.adjoint,
                wanted - linear.offset,
                iterations=iterations,
                tolerance=tolerance,
                damping=damping,
            )
            inverse, residual = solution.x.view_as(x), solution.residual
            found = {start - 1: inverse} | _inside(trunk.segments, start, place, inverse)
        for earlier, value in found.items():
            value = torch.where(importance[earlier] != 0, value, 0) if earlier >= 0 else value
            if earlier in trunk.places:
                maps[earlier], residuals[earlier] = value, residual
            if earlier == min(found):
                current, place = value, earlier
    return Backward(maps, residuals)


def _merged(segments: Sequence[Segment], place: int, wanted: Tensor) -> tuple[_Equations, int]:
    """Return the equations for a segment's input, and the start of the merged module.

    It starts at the nearest point, beginning with the segment's source, that has no more elements
    than equations; at the segment's source if there is none.
    """
    ops, targets, parts = _split(segments[place], wanted)
    count = sum(target.numel() for target in targets)
    starts = (start for start in range(place, -1, -1) if segments[start].source.numel() <= count)
    start = next(starts, place)
    before = tuple(op for segment in segments[start:place] for op in segment.ops)
    return _Equations(segments[start].source, before + ops, targets, parts), start


def _split(
    segment: Segment, wanted: Tensor
) -> tuple[tuple[Op, ...], tuple[Tensor, ...], tuple[Tensor, ...]]:
    """Split the sum at the end of a block: each part gets its share of ``wanted``."""
    op = segment.ops[-1]
    whole = segment.ops, (segment.target,), (wanted,)
    if op.kind != "add" or op.kwargs or len(op.inputs) != 2 or op.inputs[0] is op.inputs[1]:
        return whole
    if {part.shape for part in op.inputs} != {wanted.shape}:
        return whole
    one, two = working(op.inputs[0]), working(op.inputs[1])
    size = one.abs() + two.abs()
    share = torch.where(size > 0, one.abs() / torch.where(size > 0, size, 1), 0.5)
    change = wanted - one - two
    used = wanted != 0
    parts = (one + share * change) * used, (two + (1 - share) * change) * used
    return segment.ops[:-1], op.inputs, parts


def _inside(
    segments: Sequence[Segment], start: int, place: int, inverse: Tensor
) -> dict[int, Tensor]:
    """Return the values that points inside a merged module take at its inverted input."""
    if start == place:
        return {}
    source = segments[start].source
    ops = [op for segment in segments[start:place] for op in segment.ops]
    points = [segment.target for segment in segments[start:place]]
    x = working(source)
    values, changes = pushed_forward(
        lambda value: replay(ops, source, value, points), x, inverse - x
    )
    inner = [value + change for value, change in zip(values, changes, strict=True)]
    return dict(zip(range(start, place), inner, strict=True))
