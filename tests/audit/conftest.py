"""What training a model gives is imported where it is used: most tests here need none of it."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pipeline.store import Run


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> "Run":
    """A finished, aggregated run of a model that uses a tag in the top-right corner of class 1."""
    from pipeline.atlas import aggregate
    from tests.audit.trained import trained_run

    run = trained_run(tmp_path_factory.mktemp("trained"))
    aggregate(run, workers=1)
    return run


@pytest.fixture
def hidden(trained: "Run") -> Iterator[None]:
    """The images of the trained run are where nobody finds them, for one test."""
    data = Path(trained.uri).parent / "data"
    away = data.rename(data.with_name("away"))
    yield
    away.rename(data)
