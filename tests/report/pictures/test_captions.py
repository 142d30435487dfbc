from pipeline.engine import run_flows
from pipeline.report.pictures.captions import read_captions
from pipeline.store import open_run
from tests.engine.datasets import small_config
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


def test_captions_of_wrong_images_tell_how_far_answer_and_label_are_apart(tmp_path):
    config = small_config(tmp_path, flow={"batch_size": 4, "target": "both"})
    run_flows(config)
    run = open_run(config.run)
    summary = run.summary().to_table().to_pylist()
    captions = read_captions(run, [entry["row"] for entry in summary])
    assert {entry["correct"] for entry in summary} == {True, False}
    for entry in summary:
        divergence = captions[entry["row"]].divergence
        assert divergence == (None if entry["correct"] else entry["label_jsd_l02"])
        assert entry["correct"] or 0 < divergence <= 1


def test_captions_of_no_rows(run):
    assert read_captions(run, []) == {}
