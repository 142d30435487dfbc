"""What a weighted atlas counts, in a sentence that every step prints."""

import numpy as np

from pipeline.atlas import Atlas
from pipeline.audit.text.quoting import quote
from pipeline.nouns import agreeing, counted


def weights_sentence(atlas: Atlas) -> str | None:
    """Return how many images an atlas is worth; None where every image counts the same."""
    if not atlas.weighted:
        return None
    some = atlas.kish > 0
    square = float((atlas.weight[some] ** 2 / atlas.kish[some]).sum())
    weight, images = float(atlas.weight.sum()), int(atlas.count.sum())
    kish = weight**2 / square if square else 0.0
    share = np.where(some, atlas.weight / np.maximum(atlas.count, 1), np.inf)
    worst = int(share.argmin())
    most = (
        f"; {quote(atlas.names[worst])} has {counted(int(atlas.count[worst]), 'image')} and "
        f"{atlas.weight[worst]:,.1f} distinct ones"
    )
    return (
        f"weighted by {atlas.facts['weights']}: {counted(images, 'image')} "
        f"{agreeing(images, 'counts', 'count')} as {weight:,.1f} distinct "
        f"ones (Kish's effective sample size: {kish:,.1f}), and findings count distinct images"
        f"{most if weight < images else ''}"
    )
