"""``examine``: does the model *use* the place it is suspected of using, or only see it?

The focus cells of the place are pasted from the images that look there onto images of other
classes: how many become the class, more than with the cells on the other side of the same images
(what any corner of the class brings), and more than with the same cells of random images (any
patch)? And they are erased from the images that look there: how many stop being the class, more
than of images that do not look there? Images of the class that do not look there are no control of
pasting: where half of a class has a tag, many that have it look elsewhere.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from pipeline.audit.causal.confirmation import LEVEL, Confirmation
from pipeline.audit.causal.edits import cell_numbers, erase_blur, erase_mean, paste, place_mask
from pipeline.audit.causal.predictions import are_predicted, load_rows
from pipeline.audit.causal.suspects import Suspect
from pipeline.audit.stats.intervals import Rate, grouped_rate
from pipeline.engine.context import Context


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
