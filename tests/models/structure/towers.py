"""A vision transformer as people write them, in every way that its attention may be computed."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

WIDTH, HEADS, CLASSES = 24, 3, 5


def attended(kind: str, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Attention of q, k and v (B, N, H, d) in one of several ways, (B, N, H, d)."""
    images, tokens, heads, _ = q.shape
    if kind == "packed":
        q, k, v = (x.transpose(1, 2).flatten(0, 1) for x in (q, k, v))
        return F.scaled_dot_product_attention(q, k, v).unflatten(0, (images, -1)).transpose(1, 2)
    if kind == "heads first":
        q, k, v = (x.permute(2, 0, 1, 3).flatten(0, 1) for x in (q, k, v))
        found = F.scaled_dot_product_attention(q, k, v)
        return found.unflatten(0, (heads, -1)).permute(1, 2, 0, 3)
    q, k, v = (x.transpose(1, 2) for x in (q, k, v))
    if kind == "by hand":
        return ((q @ k.mT * 0.3).softmax(-1) @ v).transpose(1, 2)
    if kind == "talking heads":
        weights = (q @ k.mT).softmax(-1)
        return ((weights + weights.flip(1)) @ v).transpose(1, 2)
    options = {
        "causal": {"is_causal": True},
        "biased": {"attn_mask": torch.linspace(-1, 1, tokens)[None], "scale": 0.3},
    }
    if kind == "neighbours":
        k, v = k[:, :, :-1], v[:, :, :-1]
    return F.scaled_dot_product_attention(q, k, v, **options.get(kind, {})).transpose(1, 2)


class Block(nn.Module):
    def __init__(self, kind: str) -> None:
        super().__init__()
        self.kind = kind
        self.norm, self.qkv = nn.LayerNorm(WIDTH), nn.Linear(WIDTH, 3 * WIDTH)
        self.out, self.mlp = nn.Linear(WIDTH, WIDTH), nn.Linear(WIDTH, WIDTH)

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = self.qkv(self.norm(x)).unflatten(-1, (3, HEADS, -1)).unbind(2)
        x = x + self.out(attended(self.kind, q, k, v).flatten(2))
        return x + F.gelu(self.mlp(x))


class Vit(nn.Module):
    """``order`` is how patches are read, ``read`` what the head reads behind the last block."""

    def __init__(
        self,
        kind: str = "plain",
        prefix: int = 1,
        read: str = "token",
        order: str = "rows",
        suffix: int = 0,
        depth: int = 2,
    ) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.read, self.order, self.prefix = read, order, prefix
        self.embed = nn.Conv2d(3, WIDTH, 16, stride=16)
        self.before = nn.Parameter(torch.randn(1, prefix, WIDTH))
        self.behind = nn.Parameter(torch.randn(1, suffix, WIDTH))
        self.layers = nn.ModuleList([Block(kind) for _ in range(depth)])
        self.norm, self.head = nn.LayerNorm(WIDTH), nn.Linear(WIDTH, CLASSES)

    def forward(self, images: Tensor) -> Tensor:
        maps = self.embed(images)
        if self.order == "columns":
            maps = maps.mT
        if self.order == "mirrored":
            maps = maps.flip(-1)
        patches = maps.flatten(2).mT
        if self.order == "shuffled":
            patches = patches[:, torch.arange(patches.shape[1]).flip(0).roll(1)]
        parts = (self.before.expand(len(images), -1, -1), patches)
        tokens = torch.cat([*parts, self.behind.expand(len(images), -1, -1)], dim=1)
        for layer in self.layers:
            tokens = layer(tokens)
        return self.head(self.readout(self.norm(tokens)))

    def readout(self, tokens: Tensor) -> Tensor:
        patches = tokens[:, self.prefix :]
        if self.read == "token":
            return tokens[:, 0]
        if self.read == "last register":
            return tokens[:, self.prefix - 1]
        if self.read == "first and last register":
            return tokens[:, 0] + tokens[:, self.prefix - 1]
        if self.read == "mean":
            return patches.mean(1)
        if self.read == "maximum":
            return patches.amax(1)
        if self.read == "all":
            return tokens.mean(1)
        if self.read == "token and mean":
            return tokens[:, 0] + patches.mean(1)
        if self.read == "one patch":
            return patches[:, 2]
        return self.before[:, 0].expand(len(tokens), -1)  # nothing
