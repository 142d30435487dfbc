"""Seconds and memory of an index: a table of 10⁶ URIs, a folder of 10⁵ files, slices of both.

python -m tests.bench.bench_index [--rows 1000000] [--files 100000]
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

CODE = """
import json, resource, sys, time
from pipeline.config import DatasetConfig
from pipeline.images import build_index, open_source
from pipeline.store import Spool
from pipeline.store.index import index_rows

before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
start, cpu = time.perf_counter(), time.process_time()
spool = Spool()
index = build_index(open_source(DatasetConfig(source=sys.argv[1])), spool.add)
scanned, spent = time.perf_counter() - start, time.process_time() - cpu
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
slices = [index.rows * part // 200 for part in range(200)]
start = time.perf_counter()
for lo in slices:
    index_rows(spool.store, lo, lo + 256)
each = (time.perf_counter() - start) / len(slices)
print(json.dumps({"rows": index.rows, "seconds": scanned, "cpu": spent,
                  "peak_mib": peak / 1024,
                  "before_mib": before / 1024, "slice_ms": each * 1e3}))
"""


def measured(source: Path) -> dict[str, float]:
    """Index a source in a process of its own."""
    command = [sys.executable, "-c", CODE, str(source)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    result: dict[str, float] = json.loads(done.stdout)
    return result


def main() -> None:
    """Print one line per kind of source."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--files", type=int, default=100_000)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "shown").mkdir()
        (folder / "shown/0.jpg").write_bytes(b"1")
        table = folder / "table.csv"
        with table.open("w") as file:
            file.write("uri,label\nshown/0.jpg,0\n")
            for row in range(1, asked.rows):
                file.write(f"shown/n{row % 1000:08d}/ILSVRC2012_val_{row:08d}.jpg,{row % 1000}\n")
        start = time.perf_counter()
        for number in range(asked.files):
            place = folder / "images" / f"n{number % 1000:08d}"
            if number < 1000:
                place.mkdir(parents=True)
            (place / f"{number:08d}.jpg").touch()
        print(f"{asked.files:,} files made in {time.perf_counter() - start:.1f} s")
        for kind, source in {"table": table, "folder": folder / "images"}.items():
            got = measured(source)
            print(
                f"{kind}: {got['rows']:,} rows in {got['seconds']:.1f} s "
                f"({got['cpu']:.1f} s of CPU), peak "
                f"{got['peak_mib']:.0f} MiB ({got['before_mib']:.0f} before), a slice of 256 rows "
                f"{got['slice_ms']:.1f} ms"
            )


if __name__ == "__main__":
    main()
