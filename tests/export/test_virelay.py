import json

import numpy as np
import pytest
import yaml

from pipeline.errors import FlowatlasError
from pipeline.export.virelay import PROJECT, export_virelay
from tests.report.reported import NAMES, SIZE, drawn_run, pixels

h5py = pytest.importorskip("h5py")


@pytest.fixture(scope="module")
def exported(run, tmp_path_factory):
    folder = tmp_path_factory.mktemp("virelay")
    return folder, export_virelay(run, folder, 12)


def test_the_three_files_speak_of_the_same_images(run, exported):
    folder, count = exported
    with h5py.File(folder / "dataset.h5") as data, h5py.File(folder / "attribution.h5") as flows:
        assert data["data"].shape == (count, 3, *SIZE)
        assert flows["attribution"].shape == (count, 1, *SIZE)
        assert flows["prediction"].shape == (count, len(NAMES))
        assert (data["label"][:] == flows["label"][:]).all()
        assert flows["index"][:].tolist() == list(range(count))
        assert data["label"].dtype == np.uint16
        sure = flows["prediction"][:]
        assert ((sure > 0).sum(axis=1) == 1).all()
        with h5py.File(folder / "analysis.h5") as analysis:
            places = np.concatenate([group["index"][:] for group in analysis.values()])
            assert sorted(places.tolist()) == list(range(count))
            for key, group in analysis.items():
                number = int(key.removeprefix("class-"))
                assert (data["label"][:][group["index"][:]] == number).all()
                assert group["embedding/spectral"].shape[0] == len(group["index"])
                assert group["cluster/spectral"].shape == group["index"].shape


def test_crops_are_what_the_model_saw_and_flows_the_accumulated_ones(run, exported):
    folder, _ = exported
    rows = {tuple(pixels(row)[0, 0]): row for row in range(run.spec.rows)}
    with h5py.File(folder / "dataset.h5") as data, h5py.File(folder / "attribution.h5") as flows:
        row = rows[tuple(data["data"][0, :, 0, 0])]
        total = run.read_maps(row, row + 1)[0].sum(axis=0)
        assert flows["attribution"][0].max() <= total.max() * 1.001
        assert flows["attribution"][0].mean() == pytest.approx(total.mean(), rel=0.05)


def test_names_are_values_and_never_keys(exported):
    folder, _ = exported
    labels = json.loads((folder / "labels.json").read_text())
    assert [label["name"] for label in labels] == list(NAMES)
    with h5py.File(folder / "analysis.h5") as analysis:
        assert set(analysis) <= {label["word_net_id"] for label in labels}
    project = yaml.safe_load((folder / PROJECT).read_text())["project"]
    assert (folder / project["dataset"]["path"]).is_file()


def test_virelay_opens_the_project(run, exported):
    model = pytest.importorskip("virelay.model")
    folder, count = exported
    project = model.Project(str(folder / PROJECT))
    try:
        assert len(project.dataset) == count
        (method,) = project.get_analysis_methods()
        category = project.get_analysis_categories(method)[0]
        assert category.human_readable_name == NAMES[int(category.name.removeprefix("class-"))]
        found = project.get_analysis(method, category.name, "spectral", "spectral")
        assert len(found.embedding) == len(found.clustering)
        for index in found.attribution_indices:
            sample = project.get_sample(int(index))
            heat = project.get_attribution(int(index)).render_heatmap("gray-red", sample.data)
            assert heat.shape == sample.data.shape == (*SIZE, 3)
    finally:
        project.close()


def test_a_run_whose_images_are_gone_says_so(tmp_path):
    run = drawn_run(tmp_path / "run", images=16)
    for path in (tmp_path / "run").glob("*/*.png"):
        path.unlink()
    with pytest.raises(FlowatlasError, match=r"dataset\.source"):
        export_virelay(run, tmp_path / "out", 4)
