import json

import numpy as np
import pytest
from PIL import Image

from pipeline.audit.findings_table import EVIDENCE
from pipeline.errors import FlowatlasError
from pipeline.export.fiftyone import SAMPLES, export_fiftyone
from tests.report.reported import NAMES, SIZE, drawn_run


@pytest.fixture(scope="module")
def exported(run, tmp_path_factory):
    folder = tmp_path_factory.mktemp("fiftyone")
    written = export_fiftyone(run, folder, 5)
    lines = (folder / SAMPLES).read_text().splitlines()
    assert len(lines) == written > 0
    return folder, [json.loads(line) for line in lines]


def test_every_sample_has_a_crop_and_a_heatmap_of_its_size(run, exported):
    folder, samples = exported
    for sample in samples:
        image, heat = (
            Image.open(folder / path) for path in (sample["filepath"], sample["flow"]["map_path"])
        )
        assert image.size == heat.size == (SIZE[1], SIZE[0])
        assert (image.mode, heat.mode) == ("RGB", "L")
        assert bool(np.asarray(heat).any()) == bool(
            run.read_maps(sample["row"], sample["row"] + 1).any()
        )
    inside = {path.relative_to(folder).parts[0] for path in folder.rglob("*") if path.is_file()}
    assert inside == {"images", "flows", SAMPLES}


def test_labels_are_those_of_the_summary(run, exported):
    _, samples = exported
    summary = {entry["row"]: entry for entry in run.summary().to_table().to_pylist()}
    for sample in samples:
        entry = summary[sample["row"]]
        assert sample["ground_truth"]["label"] == NAMES[entry["label"]]
        assert sample["prediction"]["label"] == NAMES[entry["pred"]]
        assert sample["prediction"]["confidence"] == entry["confidence"]


def test_measures_findings_and_tags_are_fields(run, exported):
    _, samples = exported
    summary = {entry["row"]: entry for entry in run.summary().to_table().to_pylist()}
    evidence = run.table(EVIDENCE).to_pandas()
    sentences = run.findings()["sentence"].to_pylist()
    for sample in samples:
        entry = summary[sample["row"]]
        assert sample["mass_flow"] == entry["mass_flow"]
        assert sample["tags"][0] == ("right" if entry["correct"] else "wrong")
        numbers = sorted(evidence[evidence.row == sample["row"]].finding)
        assert sample["tags"][1:] == [f"finding-{number}" for number in numbers]
        assert sample["findings"] == [sentences[number] for number in numbers]
        assert "mass_l00" not in sample


def test_fiftyone_takes_the_samples(exported):
    fiftyone = pytest.importorskip("fiftyone")
    folder, samples = exported
    for sample in samples:
        sample["filepath"] = str(folder / sample["filepath"])
        taken = fiftyone.Sample.from_dict(sample)
        assert isinstance(taken["flow"], fiftyone.Heatmap)
        assert isinstance(taken["ground_truth"], fiftyone.Classification)


def test_a_run_whose_images_are_gone_says_so(tmp_path):
    run = drawn_run(tmp_path / "run", images=16)
    for path in (tmp_path / "run").glob("*/*.png"):
        path.unlink()
    with pytest.raises(FlowatlasError, match=r"dataset\.source"):
        export_fiftyone(run, tmp_path / "out", 4)
