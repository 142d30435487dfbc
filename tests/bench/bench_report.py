"""Size, build time and memory of a report. ``python -m tests.bench.bench_report FOLDER``.

Writes a synthetic run of ``--images`` and ``--classes`` once (as ``bench_atlas`` does: without
photographs), aggregates, audits and reports it, each in a process of its own, and opens the first
page and the page of all images in Chromium, from disk: the time until the page is loaded, and until
the images that pass a filter are listed. The load of the machine stands in every line. Not
collected by pytest.
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
    """Print how long Chromium takes to load pages from disk, and to filter the images."""
    from selenium import webdriver
    from selenium.webdriver.support.ui import WebDriverWait

    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which("chromium") or ""
    for flag in ("--headless", "--no-sandbox", "--disable-gpu"):
        options.add_argument(flag)
    service = webdriver.ChromeService(shutil.which("chromedriver"))
    with webdriver.Chrome(options=options, service=service) as driver:
        driver.get("about:blank")
        for page in ("index.html", "images.html"):
            begin = time.perf_counter()
            driver.get((report / page).as_uri())
            _print(page, f"loaded after {time.perf_counter() - begin:.2f} s")
            if page == "images.html":
                count = driver.find_element("id", "f-count")
                WebDriverWait(driver, 120).until(lambda _: "listed" in count.text)  # noqa: B023
                _print(page, f"{count.text} after {time.perf_counter() - begin:.2f} s")
        begin = time.perf_counter()
        driver.get(f"{(report / 'images.html').as_uri()}?right=wrong&order=down")
        count = driver.find_element("id", "f-count")
        WebDriverWait(driver, 120).until(lambda _: "listed" in count.text)
        _print("filtered", f"{count.text} after {time.perf_counter() - begin:.2f} s")


def _print(what: str, figures: str) -> None:
    load = os.getloadavg()[0]
    print(json.dumps({"what": what, "figures": figures, "load": round(load, 1)}), flush=True)


if __name__ == "__main__":
    main()
