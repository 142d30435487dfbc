"""The positions on the image that the values of a forward pass come from.

The model is run on the coordinates of an image's pixels, and every torch function is replaced by
one that computes where its result comes from: functions that move values (a reshape, a roll, a
slice) move their coordinates; elementwise functions keep them; functions that mix values (a
convolution, a product, a sum) average them. Weights are not used, so the result holds for any
weights: it is a property of the model's code. This is an abstract interpretation (Cousot and
Cousot, POPL 1977) in the domain of positions.
"""

import string
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_leaves, tree_map

from pipeline.errors import UnsupportedModel
from pipeline.models.structure import kernels

_MARK = "_has_coordinates"

_KEPT_NAMES = (
    "relu relu6 hardtanh clamp clip clamp_min clamp_max leaky_relu prelu rrelu elu celu selu silu "
    "gelu mish softplus softsign sigmoid logsigmoid hardsigmoid hardswish tanh softmax "
    "log_softmax softmin exp exp2 expm1 log log1p log2 sqrt rsqrt pow rpow square abs neg "
    "negative reciprocal erf sin cos threshold tanhshrink nan_to_num normalize layer_norm "
    "rms_norm batch_norm group_norm instance_norm local_response_norm masked_fill round floor "
    "ceil trunc sign special_expit expit float_power cumsum"
)
_KEPT = frozenset(_KEPT_NAMES.split())
"""Functions of one tensor that keep its positions; further tensors are weights."""

_JOINED_NAMES = (
    "add radd iadd sub subtract rsub isub mul multiply rmul imul div divide truediv rtruediv rdiv "
    "idiv itruediv true_divide lerp addcmul addcdiv maximum minimum fmax fmin where hypot "
    "logaddexp floor_divide floordiv remainder"
)
_JOINED = frozenset(_JOINED_NAMES.split())
"""Elementwise functions of several tensors."""

_MERGED_NAMES = "cat concat concatenate stack hstack vstack setitem index_put"
_MERGED = frozenset(_MERGED_NAMES.split())
"""Functions that concatenate tensors: those without coordinates get those of the centre."""

_CHOOSING_NAMES = (
    "getitem index_select gather take_along_dim take scatter scatter_add scatter_reduce index_put "
    "index_add index_copy masked_select masked_scatter setitem embedding nonzero argwhere unique "
    "grid_sample"
)
_CHOOSING = frozenset(_CHOOSING_NAMES.split())
"""Functions with which a model may select positions by their values."""

_SHAPED = frozenset({"expand_as", "view_as", "reshape_as"})
"""Functions that use only the shape of their second tensor."""

_CAST = frozenset(["to", "float", "half", "bfloat16", "double", "type", "type_as"])
"""Functions that change the type of values; coordinates keep their type."""

_SPREAD = 2.0**-14
"""Weight of values spread over many positions, relative to values at one position."""

# The position of ``dim`` among the arguments.
_REDUCED_NAMES = "sum mean amax amin prod std var logsumexp nanmean nansum max min median"
_REDUCED = {"norm": 2, "vector_norm": 2} | dict.fromkeys(_REDUCED_NAMES.split(), 1)


def marked(tree: Any) -> Any:
    """Mark every tensor of ``tree`` as one that holds coordinates, and return it."""
    for leaf in tree_leaves(tree):
        if isinstance(leaf, Tensor):
            setattr(leaf, _MARK, True)
    return tree


def has_coordinates(tensor: object) -> bool:
    """Return whether a tensor holds coordinates, or was selected by some."""
    return isinstance(tensor, Tensor) and getattr(tensor, _MARK, False)


class Coordinates(TorchFunctionMode):
    """Within this context, functions of marked tensors return marked tensors of coordinates.

    Raises
    ------
    UnsupportedModel
        The model selects or shifts positions by their values.
    """

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = dict(kwargs or {})
        given = [leaf for leaf in tree_leaves((args, kwargs)) if has_coordinates(leaf)]
        if not given:
            return func(*args, **kwargs)
        kind = str(getattr(func, "__name__", "")).strip("_")
        if kind.endswith("_like") or kind.startswith("new_"):
            return func(*args, **kwargs)
        if kind in _SHAPED and not has_coordinates(args[0]):
            return func(*args, **kwargs)
        if kind in _CHOOSING and any(not tensor.is_floating_point() for tensor in given[1:]):
            raise UnsupportedModel(
                f"the model selects positions by their values ({kind}), so no cell of its "
                "layers has a fixed position on the image; use input_gradient"
            )
        written = _written(func, kwargs, args)
        result = _place(func, kind, tuple(args), kwargs)
        if written is None:
            return marked(result)
        if result is not written:
            with torch.no_grad():
                written.copy_(result)
        if written._base is not None:
            marked(written._base)
        return marked(written)


def _written(func: Any, kwargs: dict[str, Any], args: Any) -> Tensor | None:
    """Return the tensor that an in-place function changes, else None."""
    name = str(getattr(func, "__name__", ""))
    in_place = name == "__setitem__" or (name.startswith("__i") and name != "__invert__")
    in_place |= name.endswith("_") and not name.endswith("__") and name != "requires_grad_"
    in_place |= bool(kwargs.pop("inplace", False))
    return args[0] if in_place else None


def _place(func: Any, kind: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Return the coordinates of a function's result."""
    if func is F.unfold:
        return kernels.unfolded(*args, **kwargs)
    if kind in kernels.PLACED:
        return kernels.PLACED[kind](func, *args, **kwargs)
    if kind in _KEPT:
        first = next(leaf for leaf in tree_leaves((args, kwargs)) if has_coordinates(leaf))
        return first.clone()
    if kind in _JOINED:
        return _joined([leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, Tensor)])
    if kind in _REDUCED:
        return _reduced(func, _REDUCED[kind], args, kwargs)
    if kind in _PRODUCTS:
        return _PRODUCTS[kind](*args, **kwargs)
    if kind in _CAST:
        return func(*args, **kwargs).to(args[0].dtype)
    if kind in _MERGED:
        args, kwargs = tree_map(_blank, (args, kwargs))
    result = func(*args, **kwargs)
    return args[0] if kind == "setitem" else result


def _blank(leaf: Any) -> Any:
    """Return zeros (the centre) for values that do not come from the image."""
    plain = isinstance(leaf, Tensor) and leaf.is_floating_point() and not has_coordinates(leaf)
    return torch.zeros_like(leaf) if plain else leaf


def _known(tensor: Tensor) -> Tensor:
    """Return a tensor's coordinates, zeros if it has none."""
    if has_coordinates(tensor) and (tensor.is_floating_point() or tensor.is_complex()):
        return tensor
    return torch.zeros(tensor.shape, device=tensor.device)


def _joined(tensors: Sequence[Tensor]) -> Tensor:
    """Return the sum of coordinates, scaled so that the largest is at most 1.

    Tensors that are broadcast along an axis (a gate, a mean) have a small weight.
    """
    shape = torch.broadcast_shapes(*(x.shape for x in tensors))  # type: ignore[no-untyped-call]
    known = [tensor for tensor in tensors if has_coordinates(tensor)]
    whole = any(tensor.shape == shape for tensor in known)
    total = torch.zeros(shape, dtype=torch.float64, device=known[0].device)
    for tensor in known:
        weight = _SPREAD if whole and tensor.shape != shape else 1.0
        total = total + weight * _known(tensor)
    return total / total.abs().amax().clamp(min=1) if total.numel() else total


def _reduced(func: Any, place: int, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Return the mean of the coordinates over the reduced axes."""
    if len(args) > 1 and isinstance(args[1], Tensor):  # the larger of two tensors
        return _joined(args[:2])
    native = func(*args, **kwargs)
    axes = kwargs.get("dim", kwargs.get("axis", args[place] if len(args) > place else None))
    values = native if isinstance(native, Tensor) else native[0]
    mean = args[0].mean() if axes is None else args[0].mean(axes, keepdim=True)
    mean = mean.reshape(values.shape)
    return mean if isinstance(native, Tensor) else type(native)((mean, *native[1:]))


def _linear(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    return _product(x, weight.mT)


def _product(a: Tensor, b: Tensor) -> Tensor:
    """Return, for every entry of a matrix product, its row's mean plus a little of its column's.

    The output of attention therefore lies at the position of its query.
    """
    a = a[None] if (row := a.ndim == 1) else a
    b = b[:, None] if (column := b.ndim == 1) else b
    found = _parts([_known_mean(a, -1), _known_mean(b, -2)])
    batch = torch.broadcast_shapes(a.shape[:-2], b.shape[:-2])  # type: ignore[no-untyped-call]
    found = found.expand(*batch, a.shape[-2], b.shape[-1]).contiguous()
    found = found[..., 0] if column else found
    return found[..., 0, :] if row and not column else found[..., 0] if row else found


def _known_mean(tensor: Tensor, axes: int | tuple[int, ...]) -> Tensor:
    """Return the mean coordinates, marked as coordinates if the tensor has some."""
    mean = _known(tensor).mean(axes, keepdim=True) if axes != () else _known(tensor)
    return marked(mean) if has_coordinates(tensor) else mean


def _parts(tensors: Sequence[Tensor]) -> Tensor:
    """Return the sum of a product's parts: the first with coordinates, the others with _SPREAD."""
    first, *others = [tensor for tensor in tensors if has_coordinates(tensor)]
    return sum((_SPREAD * other for other in others), start=first)


def _attention(query: Tensor, key: Tensor, value: Tensor, *rest: Any, **options: Any) -> Tensor:
    """Return the coordinates of attention's output: its query's, plus a little of the rest."""
    if (groups := query.shape[1] // value.shape[1]) > 1 and query.ndim == 4:
        key, value = key.repeat_interleave(groups, 1), value.repeat_interleave(groups, 1)
    parts = [_known_mean(query, -1), _known_mean(key, (-2, -1)), _known_mean(value, -2)]
    return _parts(parts).expand(*query.shape[:-1], value.shape[-1]).contiguous()


def _multi_head(
    query: Tensor, key: Tensor, value: Tensor, *rest: Any, **options: Any
) -> tuple[Tensor, None]:
    parts = [_known_mean(query, ()), _known_mean(key, (0, -1)), _known_mean(value, (0, -1))]
    return _parts(parts).expand(*query.shape).contiguous(), None


def _einsum(equation: str, *operands: Any) -> Tensor:
    """Return the sum of the operands' coordinates, each a mean over what is summed."""
    tensors = list(operands[0]) if isinstance(operands[0], list | tuple) else list(operands)
    left, _, right = equation.replace(" ", "").partition("->")
    free = [letter for letter in string.ascii_letters if letter not in equation]
    terms, sizes = left.split(","), dict[str, int]()
    spare = max(
        tensor.ndim - len(t.replace("...", "")) for t, tensor in zip(terms, tensors, strict=True)
    )
    for index, (term, tensor) in enumerate(zip(terms, tensors, strict=True)):
        more = tensor.ndim - len(term.replace("...", ""))
        terms[index] = term.replace("...", "".join(free[spare - more : spare]))
        sizes |= zip(terms[index], tensor.shape, strict=True)
    right = right.replace("...", "".join(free[:spare]))
    parts = []
    for term, tensor in zip(terms, tensors, strict=True):
        summed = tuple(axis for axis, letter in enumerate(term) if letter not in right)
        kept = [letter for letter in term if letter in right]
        known = _known(tensor).mean(summed) if summed else _known(tensor)
        known = known.permute([kept.index(letter) for letter in right if letter in kept])
        known = known.reshape([sizes[x] if x in kept else 1 for x in right])
        parts.append(marked(known) if has_coordinates(tensor) else known)
    return _parts(parts).expand([sizes[letter] for letter in right]).contiguous()


def _glu(x: Tensor, dim: int = -1) -> Tensor:
    return _joined([marked(half) for half in x.chunk(2, dim)])


_PRODUCTS: dict[str, Callable[..., Any]] = {
    "linear": _linear,
    **dict.fromkeys(["matmul", "bmm", "mm"], _product),
    "rmatmul": lambda a, b: _product(b, a),
    **dict.fromkeys(
        ["baddbmm", "addmm", "addbmm"],
        lambda x, a, b, **options: _joined([x, marked(_product(a, b))]),
    ),
    "einsum": _einsum,
    "scaled_dot_product_attention": _attention,
    "multi_head_attention_forward": _multi_head,
    "glu": _glu,
}
