"""The model families of the support matrix, each as a small model with random weights.

To add a family, append to ``FAMILIES``: a name, the timm model and its options. Options of
``small`` make transformers small; models of other kinds bring a builder of their own.
"""

import importlib.util
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from tests.flows import towers
from tests.flows.convolutional import BUILDERS, build
from tests.flows.reference import photographs_like, small


@dataclass(frozen=True, eq=False)
class Family:
    """``size`` (H, W) is the images' size in pixels, the model's own if None.

    ``library`` is what the model needs to be installed.
    """

    name: str
    model: str
    options: dict[str, Any] = field(default_factory=dict)
    size: tuple[int, int] | None = None
    builder: Callable[..., nn.Module] = small
    library: str = "timm"

    @property
    def available(self) -> bool:
        return importlib.util.find_spec(self.library) is not None

    def build(self) -> nn.Module:
        return self.builder(self.model, **self.options)

    def images(self, model: nn.Module, count: int) -> Tensor:
        if self.size is None:
            return photographs_like(model, count)
        images = torch.randn(count, 3, *self.size, generator=torch.Generator().manual_seed(1))
        return images.to(next(model.parameters()).dtype)


def plain(name: str, **options: Any) -> nn.Module:
    """A model that brings its own sizes, with the weights it was born with but for its head."""
    import timm

    torch.manual_seed(0)
    model = timm.create_model(name, **{"num_classes": 5, **options}).eval()
    heads = model.get_classifier()
    for head in heads if isinstance(heads, tuple) else (heads,):
        for part in head.modules():
            if isinstance(part, nn.Linear):
                nn.init.normal_(part.weight, std=0.1)  # some heads are born as zeros
    return model


HIERARCHICAL = tuple(
    Family(name, model, options, size=(size, size), builder=plain)
    for name, model, size, options in (
        (
            "Hiera",
            "hiera_tiny_224",
            64,
            {"img_size": 64, "embed_dim": 16, "num_heads": 1, "stages": (1, 1, 2, 1)},
        ),
        ("PiT", "pit_ti_224", 64, {"img_size": 64, "base_dims": (8, 8, 8), "depth": (1, 2, 1)}),
        (
            "PiT, distilled",
            "pit_ti_distilled_224",
            64,
            {"img_size": 64, "base_dims": (8, 8, 8), "depth": (1, 1, 1)},
        ),
        (
            "Twins-SVT",
            "twins_svt_small",
            128,
            {
                "img_size": 128,
                "depths": (1, 2, 2, 1),
                "embed_dims": (16, 32, 48, 64),
                "num_heads": (1, 2, 3, 4),
                "wss": (4, 4, 4, 4),
            },
        ),
        (
            "Twins-PCPVT",
            "twins_pcpvt_small",
            64,
            {
                "img_size": 64,
                "depths": (1, 1, 1, 1),
                "embed_dims": (16, 32, 48, 64),
                "num_heads": (1, 2, 3, 4),
            },
        ),
        (
            "LeViT",
            "levit_128s",
            96,
            {"img_size": 96, "depth": (1, 1, 1), "embed_dim": (32, 48, 64), "num_heads": (2, 3, 4)},
        ),
        ("MViTv2", "mvitv2_tiny", 64, {"img_size": 64}),
        ("CoaT", "coat_lite_tiny", 64, {"img_size": 64}),
        ("VOLO", "volo_d1_224", 64, {"img_size": 64}),
    )
)
"""Transformers of several stages; each at a size that its windows divide."""


def convolutional(name: str) -> Family:
    """A family of ``tests.flows.convolutional``, in float64: its maps are sums that cancel."""
    size = BUILDERS[name][1]
    return Family(name, name, size=(size, size), builder=lambda model: build(model).double())


def tower(name: str) -> Family:
    """A transformer of another library, of ``tests.flows.towers``."""
    library = towers.TOWERS[name].library
    return Family(name, name, size=towers.SIZE, builder=towers.build, library=library)


VIT, EVA02 = "vit_tiny_patch16_224", "eva02_tiny_patch14_224"

FAMILIES: tuple[Family, ...] = (
    *(convolutional(name) for name in BUILDERS),
    Family("ViT", VIT),
    Family("ViT, registers", VIT, {"reg_tokens": 4}),
    Family("ViT, q/k norm", VIT, {"qk_norm": True}),
    Family("ViT, average pool", VIT, {"global_pool": "avg"}),
    Family("ViT, average pool, no class token", VIT, {"global_pool": "avg", "class_token": False}),
    Family("ViT, maximum pool", VIT, {"global_pool": "avgmax", "reg_tokens": 1}),
    Family("ViT, dynamic size", VIT, {"dynamic_img_size": True}, size=(16, 48)),
    Family("ViT, headless", VIT, {"num_classes": 0}),
    Family("DeiT", "deit_tiny_patch16_224"),
    Family("DeiT, distilled", "deit_tiny_distilled_patch16_224"),
    Family("DeiT III", "deit3_small_patch16_224", {"init_values": 0.3}),
    Family("BEiT", "beit_base_patch16_224"),
    Family("BEiT, class token", "beit_base_patch16_224", {"global_pool": "token"}),
    Family("BEiT v2", "beitv2_base_patch16_224"),
    Family("BEiT-3 (norm before the projection)", "beit3_base_patch16_224"),
    Family("EVA", "eva_giant_patch14_clip_224"),
    Family("EVA-02 (rotary, SwiGLU)", EVA02),
    Family("EVA-02, class token", EVA02, {"global_pool": "token"}),
    Family("EVA-02 CLIP (norm before the projection)", "eva02_base_patch16_clip_224"),
    Family("ViT, rotary per layer", "vit_base_patch16_rope_mixed_ape_224", {"init_values": 0.3}),
    Family("ViT, relative positions", "vit_relpos_small_patch16_224", {"init_values": 0.3}),
    Family("ViT, shared relative positions", "vit_srelpos_small_patch16_224"),
    Family("DINOv2", "vit_small_patch14_dinov2", {"init_values": 0.3}),
    Family("DINOv2, registers", "vit_small_patch14_reg4_dinov2", {"init_values": 0.3}),
    Family("DINOv2, SwiGLU", "vit_giant_patch14_dinov2", {"init_values": 0.3}),
    Family("DINOv3", "vit_small_patch16_dinov3", {"init_values": 0.3, "global_pool": "token"}),
    Family("DINOv3, average pool", "vit_small_patch16_dinov3", {"init_values": 0.3}),
    Family("DINOv3, SwiGLU", "vit_small_plus_patch16_dinov3", {"init_values": 0.3}),
    Family("AIMv2", "aimv2_large_patch14_224"),
    Family("SigLIP (attention pool)", "vit_base_patch16_siglip_224"),
    Family("SigLIP, average pool", "vit_base_patch16_siglip_gap_224"),
    Family(
        "Perception Encoder (attention pool)",
        "vit_pe_core_tiny_patch16_384",
        {"attn_pool_num_heads": 3},
    ),
    Family("CLIP image tower", "vit_base_patch16_clip_224"),
    Family("CLIP image tower, quick GELU", "vit_base_patch16_clip_quickgelu_224"),
    Family("CaiT (class attention)", "cait_xxs24_224", {"init_values": 0.3}),
    Family("XCiT (class attention)", "xcit_nano_12_p8_224"),
    Family("ViT, differential attention", VIT, {"attn_layer": "diff", "num_heads": 2}),
    Family("ViT, parallel attention", "vit_small_patch16_18x2_224", {"num_heads": 2}),
    Family(
        "NaFlexViT",
        "naflexvit_base_patch16_gap",
        {"embed_dim": 24, "depth": 2, "num_heads": 3},
        size=(64, 64),
        builder=plain,
    ),
    Family("ConViT", "convit_tiny", {"img_size": 32}, size=(32, 32), builder=plain),
    Family(
        "Swin",
        "swin_tiny_patch4_window7_224",
        {"img_size": 56, "embed_dim": 24, "depths": (1, 1, 1, 1), "num_heads": (1, 1, 2, 2)},
        size=(56, 56),
        builder=plain,
    ),
    *HIERARCHICAL,
    Family("MLP-Mixer", "mixer_s32_224", {"img_size": 64}, size=(64, 64), builder=plain),
    *(tower(name) for name in towers.TOWERS),
)
