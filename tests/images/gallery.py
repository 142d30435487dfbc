"""Good images: the same smooth picture as a file of every kind that is read."""

import io
import struct
import zlib
from pathlib import Path

import numpy as np
from PIL import Image


def picture(width: int = 48, height: int = 32, seed: int = 0) -> Image.Image:
    """Return a smooth RGB picture with no symmetry, so that every turn of it looks different."""
    noise = np.random.default_rng(seed).integers(0, 256, (4, 5, 3), dtype=np.uint8)
    return Image.fromarray(noise).resize((width, height), Image.Resampling.BICUBIC)


def encode(image: Image.Image, kind: str, **options: object) -> bytes:
    """Return an image as the bytes of a file of Pillow's format ``kind``."""
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def kinds() -> dict[str, bytes]:
    """Return one readable file per format and variant, by name."""
    image = picture()
    return {
        "baseline.jpg": encode(image, "JPEG", quality=92),
        "progressive.jpg": encode(image, "JPEG", progressive=True),
        "grey.jpg": encode(image.convert("L"), "JPEG"),
        "cmyk.jpg": encode(image.convert("CMYK"), "JPEG"),
        "rgb.png": encode(image, "PNG"),
        "palette.png": encode(image.quantize(16), "PNG", transparency=3),
        "rgba.png": encode(_with_alpha(image), "PNG"),
        "grey16.png": encode(Image.fromarray(_ramp16()), "PNG"),
        "one_bit.png": encode(image.convert("1"), "PNG"),
        "still.gif": encode(image.quantize(32), "GIF"),
        "lossy.webp": encode(image, "WEBP"),
        "lossless.webp": encode(_with_alpha(image), "WEBP", lossless=True),
        "strips.tiff": encode(image, "TIFF"),
        "deflate.tiff": encode(image, "TIFF", compression="tiff_adobe_deflate"),
        "jpeg.tiff": encode(image, "TIFF", compression="jpeg"),
        "rows.bmp": encode(image, "BMP"),
        "binary.ppm": encode(image, "PPM"),
        "wavelet.jp2": encode(image, "JPEG2000"),
        "tile.avif": encode(image, "AVIF"),
    }


def class_folders(root: Path, classes: tuple[str, ...] = ("cat", "dog"), each: int = 3) -> Path:
    """Write a folder of class folders with different JPEG pictures; return it."""
    for label, name in enumerate(classes):
        (root / name).mkdir(parents=True)
        for number in range(each):
            image = picture(seed=100 * label + number)
            (root / name / f"{number}.jpg").write_bytes(encode(image, "JPEG", quality=92))
    return root


def png_chunk(kind: bytes, content: bytes) -> bytes:
    """Return one chunk of a PNG file with its checksum."""
    checksum = zlib.crc32(kind + content)
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", checksum)


def png(width: int, height: int, rows: bytes, depth: int = 8, colour: int = 2) -> bytes:
    """Return a PNG file as its header says it, whether or not the rows agree with that."""
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + png_chunk(b"IHDR", header)
        + png_chunk(b"IDAT", zlib.compress(rows))
        + png_chunk(b"IEND", b"")
    )


def _with_alpha(image: Image.Image) -> Image.Image:
    result = image.convert("RGBA")
    result.putalpha(Image.linear_gradient("L").resize(image.size))
    return result


def _ramp16() -> np.ndarray:
    return (np.arange(32 * 48).reshape(32, 48) * 42).astype(np.uint16)
