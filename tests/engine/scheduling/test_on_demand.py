from pathlib import Path

import pytest

from pipeline.engine import Job, LocalEngine, OnDemand, open_flows
from tests.engine.datasets import created_run, small_config


def test_it_opens_with_the_first_unit_and_once(tmp_path: Path) -> None:
    config = small_config(tmp_path)
    units = created_run(config).spec.units
    opened: list[LocalEngine] = []

    def manager() -> LocalEngine:
        opened.append(LocalEngine(threads=2))
        return opened[-1]

    engine, job = OnDemand(manager), Job(config.run, 1, open_flows)
    assert list(engine.run(job, ())) == []
    assert not opened
    done = [receipt.unit for part in (units[:2], units[2:]) for receipt in engine.run(job, part)]
    assert sorted(done) == [unit.id for unit in units]
    (within,) = opened
    assert (engine.workers, engine.wanted, engine.threads) == (1, 1, 2)
    assert (engine.room, engine.cpus) == (within.room, within.cpus)


def test_an_engine_that_does_not_open_is_an_error_of_the_job(tmp_path: Path) -> None:
    def manager() -> LocalEngine:
        raise OSError("no cluster there")

    config = small_config(tmp_path)
    units = created_run(config).spec.units
    engine = OnDemand(manager)
    with pytest.raises(OSError, match="no cluster there"):
        next(engine.run(Job(config.run, 1, open_flows), units))
