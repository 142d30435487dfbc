"""Reading an image beside Pillow's way, and what it costs from each kind of source.

    python -m tests.bench.bench_decode [FOLDER OF JPEG FILES]

Ratios are medians of interleaved rounds in one thread; without a folder, pictures are generated.
"""

import io
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import torch
from PIL import Image, ImageOps

from pipeline.images import InputTransform, build_index
from pipeline.images.decoding.decode import decode
from pipeline.images.fetch import Fetcher
from pipeline.images.sources.parquet import open_parquet
from pipeline.images.sources.webdataset import open_webdataset
from pipeline.store import Spool
from pipeline.store.index import index_rows
from tests.images.archives import parquet_of, samples, tar_of
from tests.images.gallery import encode, picture

_ROUNDS = 7
_IMAGES = 200
SUFFIXES = (".jpg", ".jpeg")


def with_pillow(content: bytes) -> Image.Image:
    """Decode as most programs do: lenient, upright, RGB."""
    with Image.open(io.BytesIO(content)) as image:
        return ImageOps.exif_transpose(image).convert("RGB")


def strictly(content: bytes) -> Image.Image | None:
    """Decode as a run does."""
    return decode(content, 100_000_000).image


def seconds(work: Callable[[bytes], object], contents: list[bytes]) -> float:
    """Return how long a round takes."""
    start = time.process_time()
    for content in contents:
        work(content)
    return time.process_time() - start


def reading(contents: list[bytes]) -> None:
    """Print what an image costs from bytes to input, resized by Pillow and by torch."""
    torch.set_num_threads(1)
    by_pillow = InputTransform((224, 224), (0.5,) * 3, (0.5,) * 3, "bicubic", 0.9)
    by_torch = replace(by_pillow, resize="torch")

    def before(content: bytes) -> object:
        image = strictly(content)
        assert image is not None
        return by_pillow(image)

    def after(content: bytes) -> object:
        frame = decode(content, 100_000_000).frame
        assert frame is not None
        return by_torch(frame)

    works = {"resized by Pillow": before, "resized by torch": after, "decoding alone": strictly}
    for work in works.values():
        seconds(work, contents[:8])
    rounds = [[seconds(work, contents) for work in works.values()] for _ in range(_ROUNDS)]
    for name, times in zip(works, zip(*rounds, strict=True), strict=True):
        each = statistics.median(times) / len(contents)
        print(f"{name}: {each * 1e3:.2f} ms, {1 / each:,.0f} images/s a core")
    print(f"ratio: {statistics.median(one / other for one, other, _ in rounds):.2f}")


def decoding(contents: list[bytes]) -> None:
    """Print the ratio of both decoders."""
    rounds = [(seconds(with_pillow, contents), seconds(strictly, contents)) for _ in range(_ROUNDS)]
    ratio = statistics.median(pillow / ours for pillow, ours in rounds)
    each = statistics.median(ours for _, ours in rounds) / len(contents)
    size = sum(map(len, contents)) / len(contents) / 1024
    print(
        f"decode: {ratio:.2f} × Pillow's rate, {each * 1e3:.2f} ms an image "
        f"({len(contents)} JPEG files of {size:.0f} KiB on average)"
    )


def fetching(contents: list[bytes]) -> None:
    """Print what one image costs from files, a tar archive and Parquet rows, in order of rows."""
    labels = [0] * len(contents)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for number, content in enumerate(contents):
            (folder / f"{number}.jpg").write_bytes(content)
        tar_of(folder / "a.tar", samples(contents, labels))
        parquet_of(folder / "a.parquet", contents, labels, row_group=100)
        files = [(f"{number}.jpg", None, None) for number in range(len(contents))]
        places = {"files": files}
        for source in (open_webdataset(name, None), open_parquet(name, None)):
            spool = Spool()
            rows = build_index(source, spool.add).rows
            found = index_rows(spool.store, 0, rows).to_pylist()
            kind = type(source).__name__.removesuffix("Source")
            places[kind] = [(row["uri"], row["offset"], row["length"]) for row in found]
        for kind, wanted in places.items():
            times = []
            for _ in range(_ROUNDS):
                fetcher = Fetcher(name)
                start = time.perf_counter()
                assert [len(fetcher.fetch(*place)) for place in wanted] == list(map(len, contents))
                times.append((time.perf_counter() - start) / len(wanted))
            print(f"fetch from {kind}: {statistics.median(times) * 1e6:.0f} µs an image")


def main() -> None:
    """Measure all."""
    if len(sys.argv) > 1:
        files = sorted(p for p in Path(sys.argv[1]).rglob("*") if p.suffix.lower() in SUFFIXES)
        contents = [path.read_bytes() for path in files[:_IMAGES]]
    else:
        contents = [encode(picture(500, 375, n), "JPEG", quality=92) for n in range(_IMAGES)]
    decoding(contents)
    reading(contents)
    fetching(contents)


if __name__ == "__main__":
    main()
