"""Products of half-precision rows and tokens that are accumulated in float32 without copies."""

import functools

import torch
from torch import Tensor


def accumulates(tokens: Tensor) -> bool:
    """Return whether products with these tokens may be accumulated in float32 as they are.

    That takes half precision and a device whose products have a float32 output. Elsewhere tokens
    are converted first: for float32 that changes nothing, and no byte of any result.
    """
    half = tokens.dtype in (torch.bfloat16, torch.float16)
    return half and _has_output_type(tokens.device.type, tokens.dtype)


@functools.cache
def _has_output_type(device: str, dtype: torch.dtype) -> bool:
    if device != "cuda":
        return False
    few = torch.ones(1, 16, 16, device=device, dtype=dtype)
    try:
        return bool((torch.bmm(few, few, out_dtype=torch.float32) == 16).all())
    except (NotImplementedError, RuntimeError, TypeError):  # an older torch, or another backend
        return False


def per_head(rows: Tensor, tokens: Tensor) -> Tensor:
    """Return Σ_c rows[b, h, r, c] · tokens[b, h, n, c] as (B, H, R, N) float32.

    ``rows`` (B, H, R, d) and ``tokens`` (B, H, N, d) are of one half-precision type. Few rows
    become a block-diagonal matrix: heads that lie side by side in memory, as a fused projection
    writes them, are then read where they lie. That has H times the operations of one product per
    head, which for few rows is still less than reading the tokens twice.
    """
    images, heads, count, width = rows.shape
    length = tokens.shape[2]
    beside = tokens.stride(3) == 1 and tokens.stride(1) == width
    if not beside or count * heads > width:
        product = _product(tokens.reshape(-1, length, width), rows.reshape(-1, count, width).mT)
        return product.view(images, heads, length, count).mT
    blocks = rows.new_zeros(images, heads, width, heads, count)
    blocks.diagonal(dim1=1, dim2=3).copy_(rows.permute(0, 3, 2, 1))
    whole = tokens.transpose(1, 2).flatten(2)
    product = _product(whole, blocks.view(images, heads * width, heads * count))
    return product.view(images, length, heads, count).permute(0, 2, 3, 1)


def _product(left: Tensor, right: Tensor) -> Tensor:
    """Return left @ right of (B, n, k) and (B, k, m) in float32."""
    if accumulates(left):
        return torch.bmm(left, right, out_dtype=torch.float32)
    return left.float() @ right.float()
