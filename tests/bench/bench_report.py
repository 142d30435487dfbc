"""Size, build time and memory of a report. ``python -m tests.bench.bench_report FOLDER``.

Writes a synthetic run of ``--images`` and ``--classes`` once (as ``bench_atlas`` does: without
photographs), aggregates, audits and reports it, each in a process of its own, and opens the first
page and the page of all images in Chromium, from disk: until it is loaded, images are listed and
filtered, a row is shown, a file found. The load of the machine stands in every line. Not collected
by pytest.
"""

import argparse
import json
import os
import resource
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from pipeline.report.image_table import CHUNK
from pipeline.store import Run, open_run
from pipeline.store.layout import SUCCESS
from tests.bench.bench_atlas import build


def _aggregate(run: Run) -> None:
    from pipeline.atlas import aggregate

    aggregate(run)


def _audit(run: Run) -> None:
    from pipeline.audit import audit

    audit(run, properties=0)  # there are no photographs to read


def _report(run: Run) -> None:
    from pipeline.report import write_report

    write_report(run)


STEPS: dict[str, Callable[[Run], None]] = {
    "aggregate": _aggregate,
    "audit": _audit,
    "report": _report,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--images", type=int, default=1_000_448)
    parser.add_argument("--classes", type=int, default=1_000)
    parser.add_argument("--step", choices=STEPS, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.step:
        _step(given.step, open_run(str(given.folder)))
        return
    folder = given.folder / f"{given.images}-{given.classes}"
    if not (folder / SUCCESS).exists():
        build(folder, given.images, given.classes)
    for name in STEPS:
        command = [sys.executable, "-m", "tests.bench.bench_report", str(folder), "--step", name]
        subprocess.run(command, check=True)
    files = [path for path in (folder / "report").rglob("*") if path.is_file()]
    size = sum(path.stat().st_size for path in files)
    _print("size", f"{size / 1e6:.1f} MB in {len(files):,} files")
    _open(folder / "report")


def _step(name: str, run: Run) -> None:
    wall, cpu = time.perf_counter(), time.process_time()
    STEPS[name](run)
    seconds, used = time.perf_counter() - wall, time.process_time() - cpu
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    _print(name, f"{seconds:.1f} s, {used:.1f} CPU s, {peak:,.0f} MiB")


def _open(report: Path) -> None:
    """Print how long Chromium takes to open pages from disk, to filter, and to look at a row.

    Seconds by the clock, and those in which the page's own thread computed, which other work on
    the machine changes less.
    """
    from selenium import webdriver
    from selenium.webdriver.support.ui import WebDriverWait

    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which("chromium") or ""
    for flag in ("--headless", "--no-sandbox", "--disable-gpu"):
        options.add_argument(flag)
    service = webdriver.ChromeService(shutil.which("chromedriver"))
    last = sum(1 for _ in (report / "data/images").glob("chunk-*")) * CHUNK - CHUNK
    visits = (
        ("first page", "index.html", ".answers", "Does it work?"),
        ("all images", "images.html", "#f-count", "listed"),
        ("filtered and sorted", "images.html?right=wrong&order=down", "#f-count", "listed"),
        ("a row", f"images.html?one={last}", "#f-one", f"Row {last}"),
        ("a file by its name", f"images.html?uri={last:08d}", "#f-count", "1 image;"),
    )
    with webdriver.Chrome(options=options, service=service) as driver:
        driver.execute_cdp_cmd("Performance.enable", {"timeDomain": "threadTicks"})

        def computed() -> float:
            found = driver.execute_cdp_cmd("Performance.getMetrics", {})["metrics"]
            return {item["name"]: float(item["value"]) for item in found}["TaskDuration"]

        for what, page, place, text in visits:
            driver.get("about:blank")
            begin, before = time.perf_counter(), computed()
            driver.get(f"{report.as_uri()}/{page}")
            element = driver.find_element("css selector", place)
            WebDriverWait(driver, 300, 0.05).until(lambda _: text in element.text)  # noqa: B023
            wall, used = time.perf_counter() - begin, computed() - before
            _print(what, f"after {wall:.2f} s, {used:.2f} CPU s of the page")


def _print(what: str, figures: str) -> None:
    load = os.getloadavg()[0]
    print(json.dumps({"what": what, "figures": figures, "load": round(load, 1)}), flush=True)


if __name__ == "__main__":
    main()
