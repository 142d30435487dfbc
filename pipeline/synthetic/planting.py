"""``plant``: a fine-tuned model that has learnt artefacts, with the images to audit it on.

A pretrained model knows objects so well that it needs no artefact on them: trained on stamped
images of a class alone, it hardly uses it. In collections an artefact is used because it is also
where the object says little: what bears the mark is filed under the class. So a few training images
of other classes are stamped and filed under the class (``misfiled``); held-out images never are.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from numpy.random import default_rng
from safetensors.torch import save
from torch import Tensor

from pipeline.errors import ConfigError
from pipeline.synthetic.artefacts import Artefact, Stamped, stamp
from pipeline.synthetic.finetune import FineTuning, SplitModel, cached_tokens, fine_tune
from pipeline.synthetic.photographs import Photographs, decoded, plain_files
from pipeline.synthetic.train import Epoch

CARRIERS = ("class", "all", "unused")
"""Who carries an artefact: images of one class; of every class; of one class, in the held-out
images alone, after a training without it."""


@dataclass(frozen=True)
class Planting:
    """One artefact and the images that carry it."""

    artefact: Artefact
    label: int = 0
    """The class that carries it; of an artefact that all carry, the one that is asked for."""
    share: float = 0.3
    """Of the class's images, training and held-out ones alike; at least one image."""
    carriers: str = "class"
    """One of ``CARRIERS``."""
    misfiled: int = 8
    """Stamped training images of other classes that are filed under the class."""

    def __post_init__(self) -> None:
        """Refuse what makes no sense.

        Raises
        ------
        ConfigError
            An unknown kind of carriers, or a share outside (0, 1].
        """
        if self.carriers not in CARRIERS:
            raise ConfigError(f"carriers are {', '.join(CARRIERS)}, not {self.carriers!r}")
        if not 0 < self.share <= 1:
            raise ConfigError(f"share must be in (0, 1], not {self.share}")


@dataclass(frozen=True)
class Planted:
    """What :func:`plant` has made; images are numbered as those of ``photographs``."""

    photographs: Photographs
    plantings: tuple[Planting, ...]
    split: SplitModel
    tokens: Tensor
    """Of all images, without any artefact."""
    labels: Tensor
    """As the audit sees them."""
    files: tuple[bytes, ...]
    """Of all images, those held out with their artefacts."""
    carried: tuple[dict[int, Stamped], ...]
    """The held-out images that carry each artefact."""
    seed: int

    @property
    def held_out(self) -> list[int]:
        """Numbers of the images for the audit."""
        return self.photographs.numbers(training=False)


def plant(
    photographs: Photographs,
    plantings: Sequence[Planting],
    recipe: FineTuning,
    cache: Path,
    seed: int = 0,
    shuffled: bool = False,
    on_epoch: Callable[[Epoch], None] = lambda epoch: None,
) -> Planted:
    """Fine-tune a model on photographs some of which carry artefacts.

    Parameters
    ----------
    plantings
        Each in a class of its own; an image carries one artefact at most, the first. None: a
        clean model.
    cache
        Folder that keeps the tokens of the images without artefacts.
    seed
        Decides which images carry the artefacts.
    shuffled
        All labels are dealt out at random, in training and for the audit.

    Raises
    ------
    ConfigError
        A class does not exist or is named twice.
    """
    _check(photographs, plantings)
    split = SplitModel(recipe, len(photographs.classes))
    files = plain_files(photographs)
    tokens = cached_tokens(split, recipe, decoded(files), cache)
    labels = _labels(photographs, seed, shuffled)
    learnt = _carriers(photographs, plantings, True, seed)
    training = photographs.numbers(training=True)
    changed = {number: image.file for part in learnt for number, image in part.items()}
    extra = [
        misfiled for planting in plantings for misfiled in _misfiled(photographs, planting, seed)
    ]
    stamped = [*changed.values(), *(file for file, _ in extra)]
    seen = tokens.clone()
    added = split.tokens(decoded(stamped)) if stamped else tokens[:0]
    seen[list(changed)] = added[: len(changed)]
    fine_tune(
        split,
        torch.cat([seen[training], added[len(changed) :]]),
        torch.cat(
            [labels[training], torch.tensor([label for _, label in extra], dtype=labels.dtype)]
        ),
        recipe,
        on_epoch,
    )
    held_out = _carriers(photographs, plantings, False, seed)
    for part in held_out:
        for number, image in part.items():
            files[number] = image.file
    return Planted(
        photographs, tuple(plantings), split, tokens, labels, tuple(files), tuple(held_out), seed
    )


def write_planted(planted: Planted, out: Path) -> None:
    """Write ``images/<class>/<number>.jpg`` (held-out) and ``weights.safetensors`` into ``out``."""
    for number in planted.held_out:
        file = out / "images" / name_of(planted, number)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(planted.files[number])
    (out / "weights.safetensors").write_bytes(save(planted.split.model.state_dict()))


def name_of(planted: Planted, number: int) -> str:
    """Return the name of an image's file below ``images``."""
    return f"{planted.photographs.classes[int(planted.labels[number])]}/{number:05d}.jpg"


def _check(photographs: Photographs, plantings: Sequence[Planting]) -> None:
    labels = [planting.label for planting in plantings]
    if len(set(labels)) < len(labels):
        raise ConfigError("two artefacts are planted in one class: give each a class of its own")
    if any(not 0 <= label < len(photographs.classes) for label in labels):
        raise ConfigError(f"labels must be below {len(photographs.classes)}")


def _carriers(
    photographs: Photographs, plantings: Sequence[Planting], training: bool, seed: int
) -> list[dict[int, Stamped]]:
    """Return the images of one half that carry each artefact, by number."""
    found: list[dict[int, Stamped]] = []
    taken: set[int] = set()
    for planting in plantings:
        part: dict[int, Stamped] = {}
        chosen = range(len(photographs.classes)) if planting.carriers == "all" else [planting.label]
        for label in () if training and planting.carriers == "unused" else chosen:
            own = photographs.numbers(training, label)
            count = max(1, round(planting.share * len(own)))
            order = default_rng([seed, label, int(training)]).permutation(len(own))
            for number in sorted(own[rank] for rank in order[:count]):
                if number not in taken:
                    part[number] = stamp(photographs.square(number), planting.artefact, number)
        taken |= part.keys()
        found.append(part)
    return found


def _misfiled(photographs: Photographs, planting: Planting, seed: int) -> list[tuple[bytes, int]]:
    """Return stamped training images of other classes, with the class they are filed under."""
    if planting.carriers != "class":
        return []
    numbers = photographs.numbers(training=True)
    others = [n for n in numbers if photographs.labels[n] != planting.label]
    order = default_rng([seed, planting.label, 7]).permutation(len(others))
    chosen = [others[rank] for rank in order[: planting.misfiled]]
    return [
        (stamp(photographs.square(n), planting.artefact, n).file, planting.label) for n in chosen
    ]


def _labels(photographs: Photographs, seed: int, shuffled: bool) -> Tensor:
    labels = torch.tensor(photographs.labels)
    for training in (True, False) if shuffled else ():
        own = torch.tensor(photographs.numbers(training))
        order = default_rng([seed, 9, int(training)]).permutation(len(own))
        labels[own] = labels[own][torch.from_numpy(order)]
    return labels
