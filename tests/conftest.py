"""What several test rooms share: where real photographs are, and one thread per test process."""

import os
from pathlib import Path

import pytest
import torch
from hypothesis import settings

os.environ.setdefault("RAY_AUTH_MODE", "disabled")
torch.set_num_threads(1)
# How long an example takes says more about the machine's other work than about the code.
settings.register_profile("patient", deadline=None)
settings.load_profile("patient")


@pytest.fixture(scope="session")
def photographs() -> Path:
    """Folder of real photographs and weights; tests that need it skip where there is none."""
    beside = Path(__file__).resolve().parents[2] / "shared" / "data"
    folder = Path(os.environ.get("FLOWATLAS_DATA", beside))
    if not (folder / "weights").is_dir():
        pytest.skip("no real photographs here: set FLOWATLAS_DATA")
    return folder
