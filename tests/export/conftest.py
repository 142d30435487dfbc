"""One reported run for all tests that only read it."""

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pipeline.store import Run


@pytest.fixture(scope="session")
def run(tmp_path_factory: pytest.TempPathFactory) -> "Run":
    from tests.report.reported import reported_run

    return reported_run(tmp_path_factory.mktemp("reported") / "run")
