"""``examine``: does the model *use* what it is suspected of, or only see it?

The place is pasted from the images that look there onto images of other classes: how many become
the class, more than with a patch of a random image at the same place? And it is erased from the
images that look there: how many stop being the class, more than of images that do not look there?
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from pipeline.audit.intervals import Rate, difference
from pipeline.audit.surgery import erase_blur, erase_mean, paste, place_mask
from pipeline.audit.suspects import Suspect
from pipeline.engine.batch import indexed_images, load_image
from pipeline.engine.context import Context
from pipeline.images import BOXES_SCHEMA

LEVEL = 0.975
"""Of each of the two comparisons: together they are wrong in at most 5 % of the cases."""

USED = 0.05
"""Flip rate above that of the control which must be proven for ``used``."""

UNUSED = 0.1
"""Flip rate above that of the control which must be excluded for ``seen``."""


@dataclass(frozen=True)
class Confirmation:
    """What pasting and erasing did, each with its control."""

    suspect: Suspect
    pasted: Rate
    random: Rate
    erased: Rate
    plain: Rate

    @property
    def paste_gain(self) -> tuple[float, float]:
        """Interval of how many more images became the class than with random patches."""
        return difference(self.pasted, self.random)

    @property
    def erase_gain(self) -> tuple[float, float]:
        """Interval of how many more images stopped being the class than of plain ones."""
        return difference(self.erased, self.plain)

    @property
    def verdict(self) -> str:
        """``used``, ``seen`` (but not used), or ``undecided``."""
        if max(self.paste_gain[0], self.erase_gain[0]) > USED:
            return "used"
        return "seen" if self.paste_gain[1] < UNUSED else "undecided"


def examine(suspect: Suspect, context: Context) -> Confirmation:
    """Run the experiment on one suspect with the run's own model and input transform."""
    spec = context.run.spec
    height, width = spec.input["size"]
    mask = place_mask(suspect.place, (height, width), spec.grid)
    carriers = _load(suspect.carriers, context)
    recipients = _load(suspect.recipients, context)
    donors = _load(suspect.donors, context)
    plain = _load(suspect.plain, context)

    def gained(source: Tensor) -> Rate:
        if not len(source):
            return Rate(0, 0, LEVEL)
        now = _predict(paste(recipients, source, mask), context)
        return Rate(int((now == suspect.number).sum()), len(recipients), LEVEL)

    def lost(images: Tensor) -> Rate:
        """Count an image only if neither filling leaves it its class."""
        gone = torch.ones(len(images), dtype=torch.bool)
        for erase in (erase_mean, erase_blur):
            gone &= _predict(erase(images, mask), context) != suspect.number
        return Rate(int(gone.sum()), len(images), LEVEL)

    return Confirmation(suspect, gained(carriers), gained(donors), lost(carriers), lost(plain))


def _load(rows: Sequence[int], context: Context) -> Tensor:
    """Return the model's inputs of rows, (n, 3, H, W) uint8; what cannot be read is left out."""
    pixels = []
    for row in rows:
        (image,) = indexed_images(context.run.index_rows(row, row + 1), BOXES_SCHEMA.empty_table())
        loaded = load_image(image, context)
        if loaded.pixels is not None:
            pixels.append(torch.from_numpy(loaded.pixels))
    height, width = context.run.spec.input["size"]
    return torch.stack(pixels) if pixels else torch.empty(0, 3, height, width, dtype=torch.uint8)


def _predict(images: Tensor, context: Context) -> Tensor:
    """Return the class (n,) that the run's method reads its maps for."""
    found = [torch.empty(0, dtype=torch.int64)]
    for part in torch.split(images, context.run.config.flow.batch_size):
        if len(part):
            with context.autocast:
                flow = context.flow(context.transform.normalise(part.to(context.device)), None)
            found.append(flow.logits.argmax(1).cpu())
    return torch.cat(found)
