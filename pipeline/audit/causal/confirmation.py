"""``Confirmation``: whether a model *uses* the place it is suspected of using, or only sees it."""

from dataclasses import dataclass, replace

from pipeline.audit.causal.suspects import Suspect
from pipeline.audit.stats.intervals import Rate, difference

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
