"""The images and classes that drive the channels in which two runs differ."""

import base64
import io
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipeline.atlas import aggregate
from pipeline.audit import audit
from pipeline.audit.compare.channel_images import (
    CLASSES_SCHEMA,
    EACH,
    IMAGES_SCHEMA,
    SHOWN,
    SIDE,
    exciting_images,
)
from pipeline.audit.compare.channels import channel_differences
from pipeline.audit.compare.comparison import companion_path, compare, compare_path
from pipeline.engine import run_flows
from pipeline.report import write_report
from pipeline.store import open_run
from pipeline.store.crops import CropReader
from pipeline.store.parquet import parquet_bytes
from tests.engine.datasets import small_config


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """A run, and one of darker images of which class_2 is missing."""
    folder = tmp_path_factory.mktemp("two")
    flow = {"method": "activation", "channels": True, "batch_size": 8}
    names = folder / "names.txt"
    names.write_text("class_0\nclass_1\nclass_2\n")
    classes = {"classes": str(names)}
    config = small_config(folder, flow=flow)
    source = Path(config.dataset.source)
    config = small_config(folder, flow=flow, dataset={"source": str(source), **classes})
    dark = folder / "dark"
    for path in sorted(source.rglob("*.png")):
        if path.parent.name != "class_2":
            place = dark / path.relative_to(source)
            place.parent.mkdir(parents=True, exist_ok=True)
            Image.open(path).point(lambda value: value // 3).save(place)
    other = small_config(folder, "other", flow=flow, dataset={"source": str(dark), **classes})
    for one in (config, other):
        run_flows(one)
        aggregate(open_run(one.run), workers=1, k=2)
    return open_run(config.run), open_run(other.run)


@pytest.fixture(scope="module")
def found(runs):
    table = channel_differences(*runs)
    return table.to_pylist(), *exciting_images(*runs, table)


def test_images_are_those_with_the_largest_peaks_of_each_run(runs, found):
    rows, images, _ = found
    assert images.schema.equals(IMAGES_SCHEMA)
    assert len(images) == 2 * SHOWN * EACH
    layer, channel = rows[0]["layer"], rows[0]["channel"]
    for run, other in zip(runs, (False, True), strict=True):
        peaks = run.channel_peaks[:, layer, channel].astype(float)
        first = [
            item
            for item in images.to_pylist()
            if (item["layer"], item["channel"], item["other"]) == (layer, channel, other)
        ]
        assert [item["row"] for item in first] == np.argsort(-peaks, kind="stable")[:4].tolist()
        assert first[0]["peak"] == peaks.max()


def test_pictures_are_what_the_model_saw_of_either_run(runs, found):
    for item in found[1].to_pylist()[:: SHOWN * EACH]:
        run = runs[item["other"]]
        seen = CropReader(run, [item["row"]]).load(item["row"]).pixels.transpose(1, 2, 0)
        shown = np.asarray(Image.open(io.BytesIO(item["picture"])).convert("RGB"))
        assert shown.shape == seen.shape
        assert max(shown.shape) <= SIDE
        assert abs(shown.mean() - seen.mean()) < 6


def test_classes_are_those_of_both_runs_by_the_mean_of_their_peaks(runs, found):
    rows, _, classes = found
    assert classes.schema.equals(CLASSES_SCHEMA)
    first = [
        item
        for item in classes.to_pylist()
        if (item["layer"], item["channel"]) == (rows[0]["layer"], rows[0]["channel"])
    ]
    assert {item["class"] for item in first} == {"class_0", "class_1"}
    gaps = [abs(item["peak"] - item["other_peak"]) for item in first]
    assert gaps == sorted(gaps, reverse=True)
    for item in first:
        for run, images, peak in zip(
            runs, ("images", "other_images"), ("peak", "other_peak"), strict=True
        ):
            label = run.spec.classes.index(item["class"])
            own = run.summary().to_table(columns=["row", "label"]).sort_by("row")
            members = own["label"].to_numpy() == label
            peaks = run.channel_peaks[:, item["layer"], item["channel"]].astype(float)[members]
            assert item[images] == members.sum()
            assert item[peak] == pytest.approx(peaks.mean())


def test_images_that_are_gone_have_no_picture_and_the_page_still_shows_the_others(runs):
    one, other = runs
    audit(one)
    compare(one, other)
    write_report(one)
    page = one.read("report/comparisons/1.html").decode()
    assert page.count("data:image/webp;base64,") == 2 * SHOWN * EACH
    assert "Its largest activation differs most in <bdi>class_" in page
    path = companion_path(compare_path(other), "channel_images")
    stored = one.table(path)
    picture = base64.b64encode(stored["picture"][0].as_py()).decode()
    assert picture in page
    older = stored.drop_columns(["picture"])
    one.write(path, parquet_bytes(older))
    one.delete(companion_path(compare_path(other), "channel_classes"))
    write_report(one)
    page = one.read("report/comparisons/1.html").decode()
    assert "data:image/webp;base64," not in page
    assert other.index()["uri"].to_pylist()[0].split("/")[0] in page
    shutil.rmtree(Path(other.uri).parent / "dark")
    table = channel_differences(one, other)
    again, _ = exciting_images(one, other, table)
    lost = [item["picture"] is None for item in again.to_pylist() if item["other"]]
    assert all(lost)
