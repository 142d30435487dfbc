"""Masks stored as image files: recognised by their names, and refused until the user chooses."""

import posixpath
import re
from collections.abc import Callable, Collection, Iterable

from pipeline.errors import DatasetError

PLAIN = frozenset({"image", "images", "img", "imgs", "jpegimages", "photos", "pictures"})
"""Names of folders of images that are not named after a class, in lower case."""

_MASKS = (
    r"(?:gt|depth|edges?|matte|(?:(?:ground[-_ ]?truth|mask|segmentation|segmentation[-_ ]?class"
    r"|segmentation[-_ ]?object|seg|annotation|annot|label|trimap)s?))"
)
_FOLDER = re.compile(_MASKS, re.IGNORECASE)
_FILE = re.compile(rf"(.+?)[-_ .]{_MASKS}\d*", re.IGNORECASE)

_CHOOSE = (
    "either leave the masks out, for example with dataset.exclude: [{pattern!r}], or use all "
    "images with dataset.exclude: []"
)


def of_image(stem: str) -> str | None:
    """Return the name of the image that a file is the mask of by its name: ``7_mask`` is of 7."""
    found = _FILE.fullmatch(stem)
    return found[1] if found else None


class MaskFiles:
    """Refuses a mask next to its image; each folder is listed at most once.

    Parameters
    ----------
    names_in : callable
        Folder → names of its files.
    """

    def __init__(self, names_in: Callable[[str], Iterable[str]]) -> None:
        self._names_in = names_in
        self._folder: str | None = None
        self._stems: dict[str, str] = {}

    def check(self, uri: str) -> None:
        """Check an image; images come in order of their paths.

        Raises
        ------
        DatasetError
            By its name the file is a mask of another image in its folder.
        """
        folder, name = posixpath.split(uri)
        stem, suffix = posixpath.splitext(name)
        image = of_image(stem)
        if image is None:
            return
        if folder != self._folder:
            self._folder = folder
            self._stems = {posixpath.splitext(other)[0]: other for other in self._names_in(folder)}
        if image in self._stems:
            refuse(
                uri, posixpath.join(folder, self._stems[image]), f"*{stem[len(image) :]}{suffix}"
            )


def refuse(mask: str, image: str, pattern: str) -> None:
    """Refuse a file that by its name is the mask of an image."""
    raise DatasetError(
        f"by its name {mask[:200]!r} is a mask of {image[:200]!r}, not an image of its own: "
        + _CHOOSE.format(pattern=pattern)
    )


def refuse_mask_folders(names: Collection[str], where: str) -> None:
    """Refuse folders of images and of their masks (``images``, ``masks``), which are no classes.

    Raises
    ------
    DatasetError
        By their names one holds images, another masks.
    """
    images = sorted(name for name in names if name.lower() in PLAIN)
    masks = sorted(name for name in names if _FOLDER.fullmatch(name))
    if images and masks:
        raise DatasetError(
            f"{where} holds {images[0]!r} and {masks[0]!r}: by their names images and masks of "
            "them, not classes; " + _CHOOSE.format(pattern=f"{masks[0]}/**")
        )
