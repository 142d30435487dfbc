"""NAFlow from its definition: one image, float64, the network traced by torch.fx.

Shares nothing with ``pipeline``: the graph is traced symbolically, its points are found by taking
each node out and looking whether the image still reaches the features, Jacobians are those of
``torch.func``, and systems are solved by scipy's LSMR.
"""

import operator
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import scipy.sparse.linalg
import torch
from torch import Tensor, fx, nn
from torch.nn import functional as F

ITERATIONS = 6
CURVED = (nn.SiLU, nn.GELU, nn.Hardswish, nn.Sigmoid, nn.Hardsigmoid)
POINTWISE = (nn.ReLU, nn.ReLU6, nn.BatchNorm2d, nn.LayerNorm, nn.Dropout, *CURVED)
SUMS = (operator.add, operator.iadd, torch.add)


class Features(nn.Module):
    """``forward_features`` as a module; of a plain model its ``features``."""

    def __init__(self, model: nn.Module):
        super().__init__()
        self.model = model

    def forward(self, images):
        if hasattr(self.model, "forward_features"):
            return self.model.forward_features(images)
        return self.model.features(images)


@dataclass
class Step:
    """From one point to the next: ``run(x)`` gives the target, ``parts(x)`` what a sum adds."""

    run: Callable[[Tensor], Tensor]
    parts: Callable[[Tensor], tuple[Tensor, ...]] | None
    module: nn.Module | None  # if it is one module only
    source: Tensor = None
    target: Tensor = None
    pointwise: bool = False  # norms, activations and permutations end no layer


def chain(model: nn.Module, image: Tensor) -> list[Step]:
    """Trace a model and cut it at the nodes that every path passes through."""
    traced = fx.symbolic_trace(Features(model))
    nodes = [node for node in traced.graph.nodes if node.op not in ("get_attr", "output")]
    values: dict[fx.Node, object] = {}

    def compute(node, known):
        def place(value):
            return fx.node.map_arg(value, lambda n: known.get(n, values.get(n)))

        args, kwargs = place(node.args), place(node.kwargs)
        if node.op == "call_module":
            module = traced.get_submodule(node.target)
            if getattr(module, "inplace", False):
                module.inplace = False
            return module(*args, **kwargs)
        if node.op == "call_function":
            function = operator.add if node.target is operator.iadd else node.target
            return function(*args, **kwargs)
        return getattr(args[0], node.target)(*args[1:], **kwargs)

    for node in traced.graph.nodes:
        if node.op == "get_attr":
            values[node] = operator.attrgetter(node.target)(traced)
    start, active = nodes[0], {nodes[0]}
    values[start] = image[None]
    for node in nodes[1:]:
        values[node] = compute(node, {})
        depends = any(parent in active for parent in node.all_input_nodes)
        if depends and isinstance(values[node], Tensor):
            active.add(node)
    (end,) = next(n for n in traced.graph.nodes if n.op == "output").all_input_nodes

    def reaches(blocked):
        seen, todo = set(), [start]
        while todo:
            node = todo.pop()
            if node is end:
                return True
            new = [n for n in node.users if n in active and n is not blocked and n not in seen]
            seen.update(new)
            todo += new
        return False

    cuts = [start, *(n for n in nodes[1:] if n in active and (n is end or not reaches(n)))]
    order = {node: place for place, node in enumerate(nodes)}
    steps = []
    for first, last in pairwise(cuts):
        inside = [n for n in nodes if order[first] < order[n] <= order[last] and n in active]
        if values[last] is values[first] or isinstance(module_of(traced, inside), nn.Identity):
            steps.append(None)  # nothing happens: the same point
            continue

        def run(x, wanted, first=first, inside=inside):
            known = {first: x}
            for node in inside:
                known[node] = compute(node, known)
            return tuple(known[node] for node in wanted)

        parts = None
        if last.target in SUMS and len(set(last.args) & active) == 2:
            parts = lambda x, run=run, last=last: run(x, last.args)  # noqa: E731
        steps.append(
            Step(
                lambda x, run=run, last=last: run(x, (last,))[0],
                parts,
                module_of(traced, inside),
                values[first],
                values[last],
                len(inside) == 1
                and (isinstance(module_of(traced, inside), POINTWISE) or last.target == "permute"),
            )
        )
    return [step for step in steps if step is not None]


def module_of(traced, inside):
    if len(inside) != 1:
        return None
    (node,) = inside
    if node.op == "call_module":
        return traced.get_submodule(node.target)
    if node.target is F.batch_norm:
        return nn.BatchNorm2d(1)
    if node.target is F.layer_norm:
        norm = nn.LayerNorm(1)
        weight = node.kwargs["weight"] if "weight" in node.kwargs else node.args[2]
        norm.weight = operator.attrgetter(weight.target)(traced)
        return norm
    return None


def invert(step: Step, y: Tensor, before: list[Step], iterations: int):
    """Return the BPFM at the step's source, and those of the merged steps' inner points."""
    x, module = step.source, step.module
    if isinstance(module, nn.ReLU | nn.ReLU6):
        return 0, {0: y}
    if isinstance(module, nn.LayerNorm):
        deviation = (x.var(-1, unbiased=False, keepdim=True) + 1e-6).sqrt()
        return 0, {0: x + (y - step.target) / module.weight * deviation}
    if isinstance(module, (nn.MaxPool2d, nn.AvgPool2d, nn.BatchNorm2d, *CURVED)):
        _, pull = torch.func.vjp(step.run, x)
        ones = torch.ones_like(y)
        if isinstance(module, nn.MaxPool2d | nn.AvgPool2d):
            weight = pull(ones)[0]
            return 0, {0: torch.where(weight > 0, pull(y)[0] / weight, 0)}
        slope = pull(ones)[0]
        floor = 0.1 if isinstance(module, CURVED) else 0
        right = y - step.target + slope * x
        return 0, {0: slope * right / (slope**2 + floor**2)}
    run, wanted = (lambda value: (step.run(value),)), (y,)
    if step.parts is not None:
        run, (a, b) = step.parts, step.parts(x)
        weight = a.abs() / (a.abs() + b.abs())
        lost = y == 0
        first = a + weight * (y - a - b)
        wanted = first.masked_fill(lost, 0), (y - first).masked_fill(lost, 0)
    equations = sum(part.numel() for part in wanted)
    merged = 0
    if equations < x.numel():
        for count in range(1, len(before) + 1):
            if before[-count].source.numel() <= equations:
                merged = count
                break
    if not merged:
        return 0, {0: solve(run, x, wanted, iterations)}
    earlier = before[-merged:]

    def through(value):
        for link in earlier:
            value = link.run(value)
        return run(value)

    start = earlier[0].source
    found = solve(through, start, wanted, iterations)
    points = {merged: found}
    change = found - start
    for back, link in zip(range(merged - 1, -1, -1), earlier, strict=True):
        base, change = torch.func.jvp(link.run, (link.source,), (change,))
        points[back] = base + change
    return merged, points


def solve(run, x, wanted, iterations):
    def flat(value):
        return torch.cat([part.flatten() for part in run(value.view_as(x))])

    start = x.flatten()
    output, pull = torch.func.vjp(flat, start)

    def push(v):
        return torch.func.jvp(flat, (start,), (torch.as_tensor(v).view_as(start),))[1]

    matrix = scipy.sparse.linalg.LinearOperator(
        (len(output), len(start)),
        matvec=lambda v: push(v).numpy(),
        rmatvec=lambda u: pull(torch.as_tensor(u).flatten())[0].numpy(),
        dtype=np.float64,
    )
    right = torch.cat([part.flatten() for part in wanted]) - output + push(start)
    found = scipy.sparse.linalg.lsmr(
        matrix, right.numpy(), atol=0, btol=0, conlim=0, maxiter=iterations
    )[0]
    return torch.from_numpy(found).view_as(x)


def importance(model, image, steps, score):
    """Gradient of the score at every step's target, one backward pass over the chain."""
    points = []
    value = image[None].clone().requires_grad_()
    for step in steps:
        value = step.run(value)
        points.append(value)
    return torch.autograd.grad(score(value), points, materialize_grads=True)


def published(steps: list[Step]) -> list[int]:
    """Return the places of the points that enter a layer, and of the last one."""
    return [
        place
        for place, step in enumerate(steps)
        if step.target.ndim == 4 and (step is steps[-1] or not steps[place + 1].pointwise)
    ]


def naflow(
    model: nn.Module,
    image: Tensor,
    target: int | None = None,
    iterations: int = ITERATIONS,
    score=None,
) -> dict[int, Tensor]:
    """Return the maps (h, w) of one float64 image at every point of four dimensions.

    Keys are the elements' addresses in depth: the place of the point in the chain.
    """
    head = getattr(model, "forward_head", None) or model.head_of_features
    with torch.no_grad():
        steps = chain(model, image)
        target = int(head(steps[-1].target).argmax()) if target is None else target
    score = score or (lambda features: head(features)[0, target])
    weights = importance(model, image, steps, score)
    maps, place, y = {}, len(steps) - 1, steps[-1].target
    with torch.no_grad():
        while True:
            if y.ndim == 4:
                maps[place] = (y * weights[place]).relu().sum(1)[0]
            if place == 0:
                return maps
            merged, points = invert(steps[place], y, steps[:place], iterations)
            for back in sorted(points):
                if place - 1 - back < 0:
                    return maps
                y = points[back] * (weights[place - 1 - back] != 0)
                if back < merged and y.ndim == 4:
                    maps[place - 1 - back] = (y * weights[place - 1 - back]).relu().sum(1)[0]
            place -= 1 + merged
