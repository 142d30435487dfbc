"""A run as later steps read it, in programs that may end right after."""

import subprocess
import sys

import pytest

from pipeline.engine import run_flows
from tests.atlas.synthetic import synthetic_run
from tests.engine.datasets import small_config
from tests.object_store.runs import bucket_url, remote_config
from tests.object_store.server import s3_server

ENDING = """
import os, sys
import pipeline.api
from pipeline.store import open_run

def ends_after_reading():
    run = open_run(sys.argv[1])
    {read}

for _ in range({times}):
    if not (child := os.fork()):
        ends_after_reading()
        sys.exit()
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


def exit_codes(uri: str, read: str, times: int) -> set[str]:
    """Return how processes end whose last work is reading; forked, for the imports take long."""
    code = ENDING.format(read=read, times=times)
    done = subprocess.run([sys.executable, "-c", code, uri], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    found = done.stdout.split()
    assert len(found) == times, done.stderr
    return set(found)


def test_a_program_that_ends_after_reading_a_table_ends_well(tmp_path):
    """Arrow's threads give Python's bytes back, and kill a process that is about to end."""
    config = small_config(tmp_path)
    run_flows(config)
    read = "[run.summary_part(unit) for unit in range(5)]"
    assert exit_codes(config.run, read, 30) == {"0"}


def test_some_columns_of_a_part_are_those_of_the_whole(tmp_path):
    run = synthetic_run(tmp_path / "run", 20, 2, layers=1, grid=(2, 2), unit_rows=8)
    for unit in run.units:
        some = run.summary_part(unit.id, ["label", "row"])
        assert set(some.column_names) == {"row", "label"}
        whole = run.summary_part(unit.id)
        assert all(some[name].equals(whole[name]) for name in some.column_names)


@pytest.mark.slow
def test_a_program_that_ends_after_reading_from_a_bucket_ends_well(tmp_path):
    config = small_config(tmp_path)
    with s3_server():
        config = remote_config(tmp_path, bucket_url("ends"), config.dataset.source)
        run_flows(config)
        assert exit_codes(config.run, "run.summary().to_table()", 8) == {"0"}
