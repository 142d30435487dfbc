"""One run by label and one by prediction, of a model with a multi-label head."""

from pathlib import Path

import pytest

from pipeline.atlas import aggregate
from pipeline.audit import audit
from pipeline.engine import LocalEngine, run_flows
from pipeline.store import Run, open_run
from tests.audit.multi_label.trained import configuration, write_dataset


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of the dataset, its model and its runs."""
    folder = tmp_path_factory.mktemp("multi_label")
    write_dataset(folder)
    return folder


def _audited(folder: Path, target: str) -> Run:
    config = configuration(folder, target, target=target)
    run_flows(config, engine=LocalEngine())
    run = open_run(config.run)
    aggregate(run)
    audit(run)
    return run


@pytest.fixture(scope="session")
def by_label(folder: Path) -> Run:
    """Return an audited run that explains every label of every image."""
    return _audited(folder, "label")


@pytest.fixture(scope="session")
def by_prediction(folder: Path) -> Run:
    """Return an audited run that explains up to three predicted outputs of every image."""
    return _audited(folder, "predicted")
