"""What several test rooms share: photographs, one thread per process, the same numbers each time.

A suite that decides over a change must say the same of the same code every time. So a test draws
from a fixed seed, whatever ran before it, and hypothesis tries the same examples. To look for what
they miss, run with ``--hypothesis-profile explore`` and another ``FLOWATLAS_SEED``.
"""

import os
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import settings

os.environ.setdefault("RAY_AUTH_MODE", "disabled")
os.environ.setdefault("RAY_worker_niceness", "0")  # or the other half of the tests starves actors
os.environ.setdefault("OMP_NUM_THREADS", "1")  # torch reads it when a test imports torch
# Some tests fork after pyarrow is imported: a process that forks should have no other thread.
os.environ.setdefault("JE_ARROW_MALLOC_CONF", "background_thread:false")
# What commands keep on a machine is kept for these tests alone.
_CACHE = TemporaryDirectory(prefix="flowatlas-cache-")
os.environ["FLOWATLAS_CACHE"] = _CACHE.name
# The time of an example depends more on other processes than on the code.
settings.register_profile("explore", deadline=None)
settings.register_profile("steady", deadline=None, derandomize=True)
settings.load_profile("steady")


def pytest_runtest_setup() -> None:
    """Seed torch before the fixtures of a test are made, those of its module among them.

    A test that imported no torch is spared the seconds that takes.
    """
    if torch := sys.modules.get("torch"):
        torch.manual_seed(int(os.environ.get("FLOWATLAS_SEED", "0")))


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the files that take long, so that the workers end together.

    Otherwise files stay in the order of their folders, which share fixtures.
    """
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: item.path not in slow)


@pytest.fixture(scope="session")
def photographs() -> Path:
    """Folder of real photographs and weights; tests that need it skip where there is none."""
    default = Path(__file__).resolve().parents[2] / "shared" / "data"
    folder = Path(os.environ.get("FLOWATLAS_DATA", default))
    if not (folder / "weights").is_dir():
        pytest.skip("no real photographs here: set FLOWATLAS_DATA")
    return folder
