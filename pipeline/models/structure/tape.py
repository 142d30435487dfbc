"""The tape of a forward pass: every operation that the image flows through, in order.

Calls of torch functions are recorded where they happen, so no knowledge of a model family's code is
needed: a residual sum, a concatenation and a gate look the same everywhere. An operation is
recorded in its out-of-place form, so that no value is overwritten and any part of the tape can be
replayed from another value.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_leaves, tree_map

from pipeline.errors import UnsupportedModel
from pipeline.models.sharing import held, of_this_thread


@dataclass(frozen=True)
class Op:
    """One recorded call: ``result`` = ``func(*args, **kwargs)``, made while ``module`` ran.

    ``inputs`` are those arguments that depend on the image, ``outputs`` the tensors of
    ``result``; both are compared by identity.
    """

    func: Callable[..., Any]
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
    module: str

    @property
    def kind(self) -> str:
        """The function's plain name: ``add`` for ``torch.add``, ``Tensor.add`` and ``+``."""
        return str(getattr(self.func, "__name__", "unknown")).strip("_")


class Tape(list[Op]):
    """The operations of a pass in order, and the modules whose outputs their results are."""

    def __init__(self) -> None:
        super().__init__()
        self._makers: dict[int, list[str]] = {}
        self._runs: Counter[str] = Counter()

    def note(self, module: str, output: Any) -> None:
        """Record that a module ran and its output; inner modules come before outer ones."""
        self._runs[module] += 1
        if module and isinstance(output, Tensor):
            self._makers.setdefault(id(output), []).append(module)

    def name(self, op: Op, output: Tensor) -> str:
        """Return the name of an output of ``op``: that of the module whose output it is.

        Of several, that is the module in which the operation ran, or else the innermost. Modules
        that ran once are preferred: one that ran several times has several outputs. A value that is
        no module's output is named by the module that computed it and the operation,
        ``layer1.0:add``.
        """
        makers = self._makers.get(id(output), [])
        if makers:
            makers = [module for module in makers if self._runs[module] == 1] or makers
            return op.module if op.module in makers else makers[0]
        return f"{op.module}:{op.kind}" if op.module else op.kind


@contextmanager
def recording(model: nn.Module, image: Tensor) -> Iterator[Tape]:
    """Record onto the yielded tape every operation on ``image`` and on values computed from it.

    Raises
    ------
    UnsupportedModel
        The model overwrites a value that is still needed.
    """
    recorder = _Recorder(image)
    with ExitStack() as session:
        for name, module in model.named_modules():
            entering, leave = (
                of_this_thread(recorder.entering(name)),
                of_this_thread(recorder.leave),
            )
            session.callback(module.register_forward_pre_hook(entering).remove)
            session.callback(module.register_forward_hook(leave).remove)
        eager = [module for module in model.modules() if getattr(module, "inplace", None) is True]
        session.enter_context(held(eager, "inplace", False))
        session.enter_context(recorder)
        yield recorder.ops


def replay(
    ops: Sequence[Op], source: Tensor, value: Tensor, targets: Sequence[Tensor]
) -> tuple[Tensor, ...]:
    """Replay operations with ``value`` in place of ``source``; return the new ``targets``.

    Everything is computed in the type of ``value``, regardless of the recording's precision.
    """
    values = {id(source): value}

    def placed(leaf: Any) -> Any:
        if not isinstance(leaf, Tensor):
            return leaf
        known = values.get(id(leaf), leaf)
        return known.to(value.dtype) if known.is_floating_point() else known

    for op in ops:
        result = op.func(*tree_map(placed, op.args), **tree_map(placed, op.kwargs))
        values |= zip(map(id, op.outputs), _tensors(result), strict=True)
    return tuple(values[id(target)] for target in targets)


def working(tensor: Tensor) -> Tensor:
    """Return a recorded value in the precision of maps: at least float32."""
    return tensor.detach() if tensor.dtype == torch.float64 else tensor.detach().float()


class _Recorder(TorchFunctionMode):
    """Intercepts every torch function; hooks track which module is running."""

    def __init__(self, image: Tensor) -> None:
        super().__init__()
        self.ops = Tape()
        self._active = {id(image): image}
        self._running: list[str] = []

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = dict(kwargs or {})
        inputs = tuple(t for t in _tensors((args, kwargs)) if id(t) in self._active)
        if not inputs or _only_shaped(func):
            return func(*args, **kwargs)
        func = _out_of_place(func)
        if "inplace" in kwargs:
            kwargs["inplace"] = False
        versions = [tensor._version for tensor in inputs]
        result = func(*args, **kwargs)
        if versions != [tensor._version for tensor in inputs]:
            raise UnsupportedModel(
                f"the model overwrites its own values ({func.__name__} in "
                f"{(self._running and self._running[-1]) or 'its forward'}); "
                "use an out-of-place function there, or flow.method input_gradient"
            )
        outputs = _tensors(result)
        if outputs and not any(id(output) in self._active for output in outputs):
            self._active |= {id(output): output for output in outputs}
            module = self._running[-1] if self._running else ""
            # The caller may change its lists later (DenseNet does): keep copies.
            args, kwargs = tree_map(lambda leaf: leaf, (tuple(args), kwargs))
            self.ops.append(Op(func, args, kwargs, inputs, outputs, module))
        return result

    def entering(self, name: str) -> Callable[..., None]:
        return lambda module, inputs: self._running.append(name)

    def leave(self, module: nn.Module, inputs: Any, output: Any) -> None:
        self.ops.note(self._running.pop(), output)


def _only_shaped(func: Any) -> bool:
    """Return whether a function takes no more than shape and type of a tensor."""
    name = str(getattr(func, "__name__", ""))
    return name.startswith("new_") or name.endswith("_like")


def _out_of_place(func: Any) -> Any:
    """Return the out-of-place equivalent of a function."""
    name = getattr(func, "__name__", "")
    if name.startswith("__i") and (plain := getattr(Tensor, f"__{name[3:]}", None)) is not None:
        return plain
    if name.endswith("_") and not name.endswith("__"):
        plain = getattr(Tensor, name[:-1], func)
        return plain if callable(plain) else func
    return func


def _tensors(tree: Any) -> tuple[Tensor, ...]:
    return tuple(leaf for leaf in tree_leaves(tree) if isinstance(leaf, torch.Tensor))
