"""``examine``: does the model *use* what it is suspected of, or only see it?

The place is pasted from the images that look there onto images of other classes: how many become
the class, more than with a patch of a random image at the same place? And it is erased from the
images that look there: how many stop being the class, more than of images that do not look there?
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from pipeline.audit.intervals import Rate, design_effect, difference
from pipeline.audit.pictures import load_rows, predict
from pipeline.audit.surgery import erase_blur, erase_mean, paste, place_mask
from pipeline.audit.suspects import Suspect
from pipeline.engine.context import Context

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


@dataclass(frozen=True)
class Material:
    """The images of an experiment as the model gets them, (n, 3, H, W) uint8 each."""

    carriers: Tensor
    plain: Tensor
    recipients: Tensor
    donors: Tensor


def gather(suspect: Suspect, context: Context) -> Material:
    """Fetch, decode and transform the images of an experiment."""
    rows = (suspect.carriers, suspect.plain, suspect.recipients, suspect.donors)
    return Material(*(load_rows(part, context) for part in rows))


def examine(suspect: Suspect, images: Material, context: Context) -> Confirmation:
    """Run the experiment on one suspect with the run's own model and input transform."""
    spec = context.run.spec
    height, width = spec.input["size"]
    mask = place_mask(suspect.place, (height, width), spec.grid)

    def gained(source: Tensor) -> Rate:
        if not len(source):
            return Rate(0, 0, LEVEL)
        now = predict(paste(images.recipients, source, mask), context) == suspect.number
        if not len(now):
            return Rate(0, 0, LEVEL)
        patch = np.arange(len(now)) % len(source)  # images with the same patch are no news
        return Rate(int(now.sum()), len(now), LEVEL, design_effect(now.numpy(), patch))

    def lost(whole: Tensor) -> Rate:
        """Count an image only if neither filling leaves it its class."""
        gone = torch.ones(len(whole), dtype=torch.bool)
        for erase in (erase_mean, erase_blur):
            gone &= predict(erase(whole, mask), context) != suspect.number
        return Rate(int(gone.sum()), len(whole), LEVEL)

    return Confirmation(
        suspect=suspect,
        pasted=gained(images.carriers),
        random=gained(images.donors),
        erased=lost(images.carriers),
        plain=lost(images.plain),
    )
