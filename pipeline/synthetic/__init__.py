"""Is the map right? Generated data whose truth is known, and models trained on it."""

from typing import TYPE_CHECKING

from pipeline.lazy_exports import lazy_exports

if TYPE_CHECKING:
    from pipeline.synthetic.shapes import (
        Picture,
        ShapesSet,
        Tag,
        draw_pictures,
        stamp_tag,
        write_shapes,
    )
    from pipeline.synthetic.train import Epoch, Recipe, Trained, train_cached, train_vit
else:
    __getattr__ = lazy_exports(
        __name__,
        {
            "shapes": ("Picture", "ShapesSet", "Tag", "draw_pictures", "stamp_tag", "write_shapes"),
            "train": ("Epoch", "Recipe", "Trained", "train_cached", "train_vit"),
        },
    )

__all__ = [
    "Epoch",
    "Picture",
    "Recipe",
    "ShapesSet",
    "Tag",
    "Trained",
    "draw_pictures",
    "stamp_tag",
    "train_cached",
    "train_vit",
    "write_shapes",
]
