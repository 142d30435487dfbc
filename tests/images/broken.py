"""Broken images of every kind that datasets have, each with the reason it must be given."""

import struct
from pathlib import Path

from PIL import Image

from tests.images.gallery import encode, picture, png, png_chunk


def broken() -> dict[str, tuple[bytes, str]]:
    """Return file name → (content, expected reason) of images that cannot be used."""
    jpeg = encode(picture(96, 64), "JPEG", quality=92)
    whole_png = encode(picture(), "PNG")
    gif = encode(picture().quantize(32), "GIF")
    webp = encode(picture(), "WEBP", quality=95)
    tiff = encode(picture(), "TIFF", compression="tiff_adobe_deflate")
    return {
        "empty.jpg": (b"", "empty"),
        "text.jpg": (b"404: the photograph you ask for has moved\n", "not_an_image"),
        "page.jpg": (b"<!DOCTYPE html><html><svg></svg></html>", "not_an_image"),
        "zeros.png": (bytes(4096), "not_an_image"),
        "truncated.jpg": (jpeg[: len(jpeg) * 2 // 3], "truncated"),
        "header_only.jpg": (jpeg[:30], "truncated"),
        "padded.jpg": (jpeg[: len(jpeg) // 2].ljust(len(jpeg), b"\0"), "truncated"),
        "middle.jpg": (_scarred(jpeg), "corrupt"),
        "truncated.png": (whole_png[: len(whole_png) // 2], "truncated"),
        "checksum.png": (_flipped(whole_png, len(whole_png) - 14), "corrupt"),  # before IEND
        "zlib.png": (_with_bad_zlib(), "corrupt"),
        "zero_width.png": (png(0, 8, b""), "corrupt"),
        "bomb.png": (png(50_000, 50_000, b""), "bomb"),
        "bomb.jpg": (_resized_jpeg(jpeg, 65_500, 65_500), "bomb"),
        "bomb.webp": (_webp_canvas(16_000_000, 16), "bomb"),
        "bomb.gif": (b"GIF89a" + struct.pack("<HH", 65_535, 65_535) + gif[10:], "bomb"),
        "animated.gif": (_animated("GIF"), "animated"),
        "animated.png": (_animated("PNG"), "animated"),
        "animated.webp": (_animated("WEBP"), "animated"),
        "truncated.gif": (gif[: len(gif) // 2], "truncated"),
        "truncated.webp": (webp[: len(webp) // 2], "truncated"),
        "corrupt.webp": (webp[:20] + bytes(80) + webp[100:], "corrupt"),
        "truncated.bmp": (encode(picture(), "BMP")[:1000], "truncated"),
        "truncated.ppm": (encode(picture(), "PPM")[:1000], "truncated"),
        "corrupt.tiff": (tiff[:20] + bytes(400) + tiff[420:], "corrupt"),
        "drawing.jpg": (b'<?xml version="1.0"?>\n<svg width="9" height="9"/>', "unsupported"),
        "document.jpg": (b"%PDF-1.7\n%%EOF\n", "unsupported"),
        "film.avif": (b"\0\0\0\x18ftypisom\0\0\0\0mif1heic", "unsupported"),
        "scan.png": (png(2, 1, b"\0" + struct.pack(">2H", 0, 4095), 16, 0), "bit_depth"),
        "lossless.jpg": (_with_frame(jpeg, 0xC3), "unsupported"),
        "twelve_bit.jpg": (_twelve_bit(jpeg), "unsupported"),
    }


def write_broken(folder: Path) -> dict[str, str]:
    """Write every broken image and a dangling link; return file name → expected reason."""
    files = broken()
    folder.mkdir(parents=True, exist_ok=True)
    for name, (content, _) in files.items():
        (folder / name).write_bytes(content)
    (folder / "dangling.jpg").symlink_to("there_is_no_such.jpg")
    return {name: reason for name, (_, reason) in files.items()} | {"dangling.jpg": "missing"}


def _flipped(data: bytes, position: int) -> bytes:
    return data[:position] + bytes([data[position] ^ 0x10]) + data[position + 1 :]


def _scarred(jpeg: bytes) -> bytes:
    """Overwrite the middle of the scan with noise that no marker interrupts."""
    middle = len(jpeg) * 2 // 3
    noise = bytes((71 * number + 13) % 251 for number in range(64))
    return jpeg[:middle] + noise + jpeg[middle + len(noise) :]


def _with_bad_zlib() -> bytes:
    """Return a PNG file whose checksums are right and whose compressed rows are not."""
    good = png(8, 8, bytes(25 * 8))
    start = good.index(b"IDAT") - 4
    return good[:start] + png_chunk(b"IDAT", b"\x78\x9c\xff\xff\xff") + png_chunk(b"IEND", b"")


def _frame(jpeg: bytes) -> int:
    return jpeg.index(b"\xff\xc0")


def _resized_jpeg(jpeg: bytes, width: int, height: int) -> bytes:
    at = _frame(jpeg) + 5
    return jpeg[:at] + struct.pack(">HH", height, width) + jpeg[at + 4 :]


def _with_frame(jpeg: bytes, marker: int) -> bytes:
    at = _frame(jpeg) + 1
    return jpeg[:at] + bytes([marker]) + jpeg[at + 1 :]


def _twelve_bit(jpeg: bytes) -> bytes:
    extended = _with_frame(jpeg, 0xC1)
    at = extended.index(b"\xff\xc1") + 4
    return extended[:at] + b"\x0c" + extended[at + 1 :]


def _webp_canvas(width: int, height: int) -> bytes:
    canvas = b"\0\0\0\0" + (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    body = b"WEBP" + b"VP8X" + struct.pack("<I", len(canvas)) + canvas + bytes(16)
    return b"RIFF" + struct.pack("<I", len(body)) + body


def _animated(kind: str) -> bytes:
    frames: list[Image.Image] = [picture(seed=seed) for seed in range(3)]
    return encode(frames[0], kind, save_all=True, append_images=frames[1:], duration=40)
