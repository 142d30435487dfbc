"""Is the map right? Generated data whose truth is known, and models trained on it."""

from typing import TYPE_CHECKING

from pipeline.lazy_exports import lazy_exports

if TYPE_CHECKING:
    from pipeline.synthetic.artefacts import Artefact, stamp
    from pipeline.synthetic.finetune import FineTuning
    from pipeline.synthetic.photographs import choose_photographs
    from pipeline.synthetic.planted_truth import write_truth
    from pipeline.synthetic.planting import Planting, plant
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
            "artefacts": ("Artefact", "stamp"),
            "finetune": ("FineTuning",),
            "photographs": ("choose_photographs",),
            "planted_truth": ("write_truth",),
            "planting": ("Planting", "plant"),
            "shapes": ("Picture", "ShapesSet", "Tag", "draw_pictures", "stamp_tag", "write_shapes"),
            "train": ("Epoch", "Recipe", "Trained", "train_cached", "train_vit"),
        },
    )

__all__ = [
    "Artefact",
    "Epoch",
    "FineTuning",
    "Picture",
    "Planting",
    "Recipe",
    "ShapesSet",
    "Tag",
    "Trained",
    "choose_photographs",
    "draw_pictures",
    "plant",
    "stamp",
    "stamp_tag",
    "train_cached",
    "train_vit",
    "write_shapes",
    "write_truth",
]
