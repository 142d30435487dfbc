"""One reported run for all tests that only read it."""

import pytest

from pipeline.store import Run
from tests.report.reported import reported_run


@pytest.fixture(scope="session")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return reported_run(tmp_path_factory.mktemp("reported") / "run")
