"""TIFF files by hand: any number of bands, of any type, in either byte order."""

import struct

import numpy as np


def tiff(
    values: np.ndarray,
    photometric: int = 1,
    *,
    extra: tuple[int, ...] = (),
    compression: int = 1,
    tags: tuple[tuple[int, int], ...] = (),
) -> bytes:
    """Return an uncompressed TIFF file of values (H, W, C); ``tags`` are further SHORTs.

    ``photometric`` is 0 for white at zero, 1 for black at zero, 2 for RGB, 5 for CMYK.
    """
    height, width, bands = values.shape
    order = ">" if values.dtype.byteorder == ">" else "<"
    kind = {"u": 1, "i": 2, "f": 3}[values.dtype.kind]
    entries = {
        256: [width], 257: [height], 258: [8 * values.dtype.itemsize] * bands, 259: [compression],
        262: [photometric], 273: [0], 277: [bands], 278: [height], 279: [values.nbytes], 284: [1],
        339: [kind] * bands, **({338: list(extra)} if extra else {}),
        **{tag: [value] for tag, value in tags},
    }  # fmt: skip
    directory, tail = [], b""
    start = 8 + 2 + 12 * len(entries) + 4
    long = {256, 257, 273, 278, 279}
    pixels = start + sum(2 * len(v) for t, v in entries.items() if 2 * len(v) > 4 and t not in long)
    for tag, content in sorted(entries.items()):
        form, code = (4, "I") if tag in long else (3, "H")
        raw = struct.pack(f"{order}{len(content)}{code}", *([pixels] if tag == 273 else content))
        if len(raw) > 4:
            raw, tail = struct.pack(order + "I", start + len(tail)), tail + raw
        directory.append(struct.pack(order + "HHI", tag, form, len(content)) + raw.ljust(4, b"\0"))
    head = (b"MM\0*" if order == ">" else b"II*\0") + struct.pack(order + "IH", 8, len(entries))
    return head + b"".join(directory) + bytes(4) + tail + values.tobytes()
