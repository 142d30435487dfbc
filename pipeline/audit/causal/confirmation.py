"""``examine``: does the model *use* the place it is suspected of using, or only see it?

The focus cells of the place are pasted from the images that look there onto images of other
classes: how many become the class, more than with the cells on the other side of the same images
(what any corner of the class brings), and more than with the same cells of random images (any
patch)? And they are erased from the images that look there: how many stop being the class, more
than of images that do not look there? Images of the class that do not look there are no control of
pasting: where half of a class has a tag, many that have it look elsewhere.
"""

from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from pipeline.audit.causal.edits import cell_numbers, erase_blur, erase_mean, paste, place_mask
from pipeline.audit.causal.predictions import are_predicted, load_rows
from pipeline.audit.causal.suspects import Suspect
from pipeline.audit.stats.intervals import Rate, difference, grouped_rate
from pipeline.engine.context import Context

LEVEL = 0.975
"""Of each of the two comparisons: together they are wrong in at most 5 % of the cases. Suspects of
one family share these 5 % (Bonferroni)."""

MARGIN = 0.1
"""Least gain in the flip rate over the controls that matters: it must be proven for ``used``, and
excluded for ``seen``. A weak cue flips a few images in a hundred."""


@dataclass(frozen=True)
class Confirmation:
    """What pasting and erasing did, each with its controls.

    ``pasted`` is from carriers, ``rest`` the same without the carrier whose patch works best (no
    image where there is one carrier only), ``mirrored`` from their other side (no image for a
    border, which has none), ``random`` from other classes; ``erased`` from carriers, ``plain`` from
    plain images.
    """

    suspect: Suspect
    pasted: Rate
    rest: Rate
    mirrored: Rate
    random: Rate
    erased: Rate
    plain: Rate

    @property
    def readable(self) -> bool:
        """Whether images that look there could be read, if there are any."""
        return bool(not self.suspect.carriers or self.pasted.images or self.erased.images)

    @property
    def paste_gain(self) -> tuple[float, float]:
        """Interval of how many more images became the class than with the better control.

        Its lower end is to hold for other images with such a patch too, so patches count as a
        sample. Its upper end is about the carriers themselves, which are all that there are or
        those that look there most: only the images they are pasted onto are a sample.
        """
        controls = [rate for rate in (self.mirrored, self.random) if rate.images]
        if not controls:
            return -1.0, 1.0
        these = replace(self.pasted, design=1.0)
        low = min(difference(self.pasted, rate)[0] for rate in controls)
        return low, min(difference(these, rate)[1] for rate in controls)

    @property
    def erase_gain(self) -> tuple[float, float]:
        """Interval of how many more images stopped being the class than of plain ones."""
        return difference(self.erased, self.plain)

    @property
    def works(self) -> bool:
        """Whether pasting is proven to gain anything, and not by one image's patch alone.

        In one image the object itself may be there; what several have in common is worth a look.
        """
        others = replace(self, pasted=self.rest)
        return self.paste_gain[0] > 0 and others.paste_gain[0] > 0

    @property
    def verdict(self) -> str:
        """``used``, ``seen`` (but not used), or ``undecided``."""
        if max(self.paste_gain[0], self.erase_gain[0]) > MARGIN:
            return "used"
        return "seen" if self.paste_gain[1] < MARGIN else "undecided"


@dataclass(frozen=True)
class Trial:
    """A suspect and its images as the model gets them, (n, 3, H, W) uint8 each."""

    suspect: Suspect
    carriers: Tensor
    plain: Tensor
    recipients: Tensor
    donors: Tensor


def load_trial(suspect: Suspect, context: Context) -> Trial:
    """Fetch, decode and transform the images of a suspect."""
    rows = (suspect.carriers, suspect.plain, suspect.recipients, suspect.donors)
    return Trial(suspect, *(load_rows(part, context) for part in rows))


def examine(trial: Trial, context: Context) -> Confirmation:
    """Run the experiment on one suspect with the run's own model and input transform."""
    spec, suspect = context.run.spec, trial.suspect
    height, width = spec.input["size"]
    mask = place_mask(suspect.place, (height, width), spec.grid)
    level = 1 - (1 - LEVEL) / suspect.family
    mask &= torch.isin(cell_numbers((height, width), spec.grid), torch.tensor(suspect.cells))

    def gained(source: Tensor, where: Tensor) -> tuple[Rate, Rate]:
        """Return the rate of all patches, and without the best one."""
        if not len(source) or not len(trial.recipients):
            return Rate(0, 0, level), Rate(0, 0, level)
        now = are_predicted(paste(trial.recipients, source, where), suspect.class_id, context)
        hits, patch = now.numpy(), np.arange(len(now)) % len(source)
        rates = np.bincount(patch, hits) / np.bincount(patch)
        others = patch != rates.argmax()
        return (
            grouped_rate(hits, patch, level=level),
            grouped_rate(hits[others], patch[others], level=level),
        )

    def lost(whole: Tensor) -> Rate:
        """Count the images that lose the class with both fillings."""
        gone = torch.ones(len(whole), dtype=torch.bool)
        for erase in (erase_mean, erase_blur):
            gone &= ~are_predicted(erase(whole, mask), suspect.class_id, context)
        return Rate(int(gone.sum()), len(whole), level)

    pasted, rest = gained(trial.carriers, mask)
    other_side = trial.carriers[: 0 if suspect.place == "border" else None]
    return Confirmation(
        suspect=suspect,
        pasted=pasted,
        rest=rest,
        mirrored=gained(other_side, mask.flip(1))[0],
        random=gained(trial.donors, mask)[0],
        erased=lost(trial.carriers),
        plain=lost(trial.plain),
    )
