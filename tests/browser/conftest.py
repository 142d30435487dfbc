"""A headless Chromium and a report for it; tests skip where there is no Chromium."""

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from pipeline.store import Run

_FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


@pytest.fixture(scope="session")
def run(tmp_path_factory: pytest.TempPathFactory) -> "Run":
    from tests.report.reported import reported_run

    return reported_run(tmp_path_factory.mktemp("browsed") / "run")


@pytest.fixture(scope="session")
def report(run: "Run") -> Path:
    return Path(run.uri) / "report"


@pytest.fixture(scope="session")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    webdriver = pytest.importorskip("selenium.webdriver")
    browser = shutil.which("chromium") or shutil.which("google-chrome")
    driver = shutil.which("chromedriver")
    if not browser or not driver:
        missing = "no chromium with its chromedriver here"
        if os.environ.get("FLOWATLAS_REQUIRE_BROWSER"):
            pytest.fail(missing)
        pytest.skip(missing)
    options = webdriver.ChromeOptions()
    options.binary_location = browser
    for flag in (*_FLAGS, f"--user-data-dir={tmp_path_factory.mktemp('profile')}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    service = webdriver.ChromeService(driver)
    with webdriver.Chrome(options=options, service=service) as started:
        yield started


@pytest.fixture
def look(chromium: Any, report: Path) -> Iterator[Callable[..., Any]]:
    """Open a page of the report as a reader with a screen, a taste and perhaps no scripts."""

    def open_page(page: str, *, width: int = 1280, dark: bool = False, scripts: bool = True) -> Any:
        screen = {"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": width < 500}
        taste = [
            {"name": "prefers-color-scheme", "value": "dark" if dark else "light"},
            {"name": "prefers-reduced-motion", "value": "reduce"},
        ]
        chromium.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", screen)
        chromium.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": taste})
        chromium.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": not scripts})
        for log in ("browser", "performance"):
            chromium.get_log(log)
        path, mark, query = page.partition("?")
        chromium.get(f"{(report / path).as_uri()}{mark}{query}")
        return chromium

    yield open_page
    chromium.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": False})
