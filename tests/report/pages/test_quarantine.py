import numpy as np

from pipeline.report.pages.quarantine import read_quarantine


def test_quarantine_names_reasons_and_the_first_files(run):
    (truncated,) = read_quarantine(run)
    summary = run.summary().to_table().to_pandas()
    rows = np.flatnonzero(summary.sort_values("row").status == 2)
    uris = run.index().column("uri").to_pylist()
    assert (truncated.reason, truncated.images) == ("truncated", len(rows))
    assert truncated.examples == tuple(uris[row] for row in rows[:3])
    assert truncated.explanation == "The file ends early."
