import pytest

from pipeline.atlas import aggregate
from pipeline.store import Run
from tests.audit.trained import trained_run


@pytest.fixture(scope="package")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A finished, aggregated run of a model that uses a tag in the top-right corner of class 1."""
    run = trained_run(tmp_path_factory.mktemp("trained"))
    aggregate(run, workers=1)
    return run
