from pipeline.report.captions import read_captions
from tests.report.reported import NAMES


def test_captions_tell_what_the_summary_says(run):
    summary = {entry["row"]: entry for entry in run.summary().to_table().to_pylist()}
    captions = read_captions(run, summary)
    uris = run.index().column("uri").to_pylist()
    assert captions.keys() == summary.keys()
    for row, caption in captions.items():
        entry = summary[row]
        assert caption.uri == uris[row]
        assert caption.label == NAMES[entry["label"]]
        assert caption.predicted == (None if entry["pred"] is None else NAMES[entry["pred"]])
        assert (caption.confidence, caption.correct) == (entry["confidence"], entry["correct"])


def test_captions_of_no_rows(run):
    assert read_captions(run, []) == {}
