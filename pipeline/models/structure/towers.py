"""The anatomy of a vision transformer of any library, found by running it.

No name and no configuration is read. :mod:`pipeline.models.structure.sight` shows where the model
attends, and that the keys are the patches of the image, row by row, behind tokens that are none;
:mod:`pipeline.models.structure.readout`, which of its tokens the logits are computed from.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from pipeline.errors import UnsupportedModel
from pipeline.models.structure.alternatives import instead
from pipeline.models.structure.anatomy import Anatomy, Layer, Readout, Rows
from pipeline.models.structure.layout import lies_on_image
from pipeline.models.structure.readout import read_behind
from pipeline.models.structure.sight import SAME, Seen, Sight, look
from pipeline.nouns import counted


def found_anatomy(model: nn.Module, images: Tensor) -> Anatomy:
    """Find the anatomy of a model for images of this size, (B, 3, H, W).

    Every attention to all patches of the image is a layer, named by the largest module that runs
    no other attention. Attentions with queries of their own (a pool) come last.

    Raises
    ------
    UnsupportedModel
        The model attends to something other than all of its patches, or not where it can be seen,
        or does not run. The message names an alternative.
    """
    name, size = type(model).__name__, (images.shape[-2], images.shape[-1])
    sight = look(model, images)
    if not sight.calls:
        raise UnsupportedModel(
            f"{name} computes no attention that can be seen (scaled_dot_product_attention, "
            f"nn.MultiheadAttention, or a softmax times its values); {_seen_instead(model)}"
        )
    grid = _grid(name, model, sight.calls)
    patches = grid[0] * grid[1]
    for call in sight.calls:
        _check_patches(name, model, call, grid)
    blocks = _blocks(name, sight)
    own = [place for place, call in enumerate(sight.calls) if call.queries == call.keys]
    pools = [place for place in range(len(sight.calls)) if place not in own]
    before = [call.keys - patches for call in sight.calls]
    if not own or max(own) > min(pools, default=len(blocks)) or len({before[p] for p in own}) > 1:
        raise UnsupportedModel(
            f"{name} adds, drops or pools tokens between its attentions, so its layers do not "
            f"share one set of tokens; {instead(model)}"
        )
    prefix, last_call = before[own[-1]], sight.calls[own[-1]]
    read = read_behind(model, images, last_call, prefix, [sight.calls[p] for p in pools])
    if not any(read.prefix) and not read.patches:
        raise UnsupportedModel(
            f"the logits of {name} do not depend on its last attention; use input_gradient"
        )
    rows: list[tuple[int, Rows | None]] = [(p, read.rows(prefix + patches)) for p in own]
    rows += zip(pools, read.pools, strict=True)
    layers = []
    for place, some in rows:
        if some is not None:
            block = model.get_submodule(blocks[place])
            layers.append(Layer(blocks[place], block, block, some, before[place], direct=False))
    readout: Readout = "pool" if len(layers) > len(own) else "patches" if read.patches else "token"
    last, tokens_of = _tokens(model, blocks[own[-1]], sight, last_call)
    return Anatomy(
        name=name,
        layers=tuple(layers),
        readout=readout,
        last=last,
        num_prefix_tokens=prefix,
        num_classes=0 if getattr(model, "num_classes", None) == 0 else read.outputs,
        feature_size={size: grid}.__getitem__,
        tokens_of=tokens_of,
    )


def _grid(name: str, model: nn.Module, calls: Sequence[Seen]) -> tuple[int, int]:
    """Return rows and columns of the patches that the first attention attends to."""
    places = calls[0].places
    if places is None:
        raise UnsupportedModel(
            f"{name} attends within parts of the image ({calls[0].modules[-1]}), not from what it "
            f"reads to every patch; {instead(model)}"
        )
    for prefix in range(places.shape[1] - 1):
        if prefix and float(places[:, prefix - 1].abs().amax()) > SAME:
            break  # this token has a place
        rows, columns = places[:, prefix:]
        ends = (columns[1:] < columns[:-1] + SAME).nonzero()
        width = int(ends[0]) + 1 if len(ends) else len(columns)
        if len(columns) % width == 0 and _is_lattice(rows.view(-1, width), columns.view(-1, width)):
            return len(columns) // width, width
    raise UnsupportedModel(
        f"the tokens that {name} attends to in {calls[0].modules[-1]} do not lie on the image row "
        f"by row; {instead(model)}"
    )


def _is_lattice(rows: Tensor, columns: Tensor) -> bool:
    """Return whether cells (h, w) have one row coordinate per row, ascending, and so columns."""
    level = (rows - rows[:, :1]).abs().amax() < SAME
    upright = (columns - columns[:1]).abs().amax() < SAME
    ascend = (rows[:, 0].diff() > SAME).all() and (columns[0].diff() > SAME).all()
    return bool(level and upright and ascend)


def _check_patches(name: str, model: nn.Module, call: Seen, grid: tuple[int, int]) -> None:
    """Refuse an attention to anything but all patches, and tokens before them."""
    before = call.keys - grid[0] * grid[1]
    cells = None if call.places is None or before < 0 else call.places[:, before:]
    if cells is None or not lies_on_image(cells.view(2, 1, *grid)):
        what = counted(call.keys, "token") if call.places is not None else "parts of the image"
        raise UnsupportedModel(
            f"{name} attends to {what} in {call.modules[-1]} where its image has "
            f"{grid[0]} × {grid[1]} patches, so its keys are not the patches (windows, pooled or "
            f"merged tokens); {instead(model)}"
        )


def _blocks(name: str, sight: Sight) -> list[str]:
    """Return, for every call, the largest module that runs it, once, and no other.

    Those that put out the tokens are preferred to those that put out more or less.
    """
    calls = Counter(module for call in sight.calls for module in set(call.modules))
    found = []
    for call in sight.calls:
        single = [m for m in call.modules if m and calls[m] == 1 and sight.runs[m] == 1]
        single = [m for m in single if _keeps_tokens(sight.shapes.get(m), call)] or single
        if not single:
            raise UnsupportedModel(
                f"{name} runs several attentions in {call.modules[-1] or 'its own forward'}, "
                "which cannot be distinguished; use a model that runs every block once, as a module"
            )
        found.append(single[0])
    return found


def _tokens(
    model: nn.Module, block: str, sight: Sight, call: Seen
) -> tuple[nn.Module | None, Callable[[Any], Tensor]]:
    """Return the last block and how its output becomes tokens (B, N, C); None if it has none.

    The attention itself is no block: what it puts out is only added to the tokens.
    """
    shape = sight.shapes.get(block)
    if shape is None or block == call.modules[-1] or not _keeps_tokens(shape, call):
        return None, _first
    if shape[0] == 2:
        return model.get_submodule(block), _first
    return model.get_submodule(block), lambda output: _first(output).transpose(0, 1)


def _keeps_tokens(shape: torch.Size | None, call: Seen) -> bool:
    """Return whether an output of two images is (2, N, C) or (N, 2, C)."""
    return shape is not None and len(shape) == 3 and {2, call.keys} == set(shape[:2])


def _first(output: Any) -> Any:
    return output[0] if isinstance(output, tuple | list) else output


def _seen_instead(model: nn.Module) -> str:
    """Return how the attention of a model could be seen, or what to use instead, as a clause."""
    config: Any = getattr(model, "config", None)
    if getattr(config, "_attn_implementation", "sdpa") not in ("sdpa", "eager", None):
        return "build it with attn_implementation='sdpa'"
    return instead(model)
