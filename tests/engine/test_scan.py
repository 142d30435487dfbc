"""Labels of whole datasets, from the images on disk to run.json."""

import json
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pytest

from pipeline.config import RunConfig
from pipeline.engine import Prepared, prepare, scan
from pipeline.errors import ConfigError
from pipeline.images import open_source
from pipeline.store import create_run, open_store
from pipeline.store.index import index_parts
from tests.engine.datasets import created_run, small_config
from tests.images.archives import parquet_of, tar_of

PICTURE = b"\x89PNG"
"""An index does not open its images."""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "names.txt").write_text("ant\nbee, honey bee\ncat\n")
    for name in ("Cat", "honey_bee"):
        (tmp_path / "images" / name).mkdir(parents=True)
        (tmp_path / "images" / name / "1.png").write_bytes(PICTURE)
    return tmp_path


def named(folder: Path, source: str, **more: str) -> RunConfig:
    dataset = {"source": str(folder / source), "classes": str(folder / "names.txt"), **more}
    return small_config(folder, dataset=dataset)


def labels(prepared: Prepared) -> list[int | None]:
    assert prepared.parts is not None
    return pa.concat_tables(index_parts(prepared.parts.store))["label"].to_pylist()


def test_folders_are_matched_to_the_outputs_by_name(folder: Path) -> None:
    found = prepare(named(folder, "images"))
    assert labels(found) == [2, 1]
    assert found.spec.labels == {"Cat": 2, "honey_bee": 1}
    assert found.spec.classes == ("ant", "bee, honey bee", "cat")
    assert found.labelling.sentence(found.index) == (
        "2 of 2 images labelled, 2 of 2 classes matched by name, e.g. Cat = output 2 'cat'"
    )


def test_boxes_and_tables_match_the_same_names(folder: Path) -> None:
    (folder / "t.csv").write_text("uri,label\nimages/Cat/1.png,CAT\nimages/honey_bee/1.png,bee\n")
    (folder / "b.csv").write_text(
        "uri,label,x0,y0,x1,y1\nimages/Cat/1.png,cat,0,0,1,1\nimages/Cat/1.png,ant,0,0,2,2\n"
        "images/honey_bee/1.png,honey bee,0,0,3,3\n"
    )
    found = prepare(named(folder, "t.csv", boxes=str(folder / "b.csv")))
    assert labels(found) == [2, 1]
    assert found.index.boxes == 2


def test_archives_are_matched_while_they_are_scanned(folder: Path) -> None:
    members = [("1.png", PICTURE), ("1.cls", b"honey bee"), ("2.png", PICTURE), ("2.cls", b"ANT")]
    tar_of(folder / "a.tar", members)
    config = named(folder, "a.tar")
    found = created_run(config)
    assert found.spec.labels == {"ANT": 0, "honey bee": 1}
    assert "2 of 2 classes matched by name" in found.labelling.sentence(found.index)
    again = prepare(config)
    assert again.parts is None
    assert again.spec == found.spec
    assert again.labelling.sentence(again.index) == found.labelling.sentence(found.index)
    tar_of(folder / "a.tar", [*members, ("3.png", PICTURE), ("3.cls", b"wasp")])
    with pytest.raises(ConfigError, match="'wasp'"):
        prepare(replace_run(config, "other"))


def test_class_labels_of_parquet_are_names(folder: Path) -> None:
    parquet_of(folder / "p/0.parquet", [PICTURE] * 2, [0, 1], ("cat", "ant"))
    parquet_of(folder / "p/1.parquet", [PICTURE] * 2, [0, 1], ("bee", "cat"))
    assert labels(prepare(named(folder, "p"))) == [2, 0, 1, 2]


def test_datasets_in_order_keep_their_bytes(tmp_path: Path) -> None:
    found = prepare(small_config(tmp_path))
    assert found.spec.labels is None
    assert found.spec.classes == ("class_0", "class_1", "class_2")
    assert "labels" not in found.spec.to_json()
    (tmp_path / "names.txt").write_text("class 0\nclass 1\nclass 2\n")
    source = {"source": str(tmp_path / "images"), "classes": str(tmp_path / "names.txt")}
    by_name = prepare(small_config(tmp_path, dataset=source))
    assert by_name.index.fingerprint == found.index.fingerprint
    assert by_name.spec.labels is None


def test_a_mapping_takes_precedence(folder: Path) -> None:
    (folder / "labels.json").write_text(json.dumps({"Cat": {"output": 0}, "honey_bee": None}))
    found = prepare(named(folder, "images", labels=str(folder / "labels.json")))
    assert labels(found) == [0, None]
    sentence = found.labelling.sentence(found.index)
    assert sentence.startswith("1 of 2 images labelled, 1 of 2 classes by the mapping")
    assert sentence.endswith("without a label: 'honey_bee'")


def test_a_run_started_by_position_continues_and_reports_it(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = named(folder, "images")
    as_before = {"Cat": 0, "honey_bee": 1}
    with monkeypatch.context() as patch:
        label = scan.label_classes

        def by_position(names, outputs):
            return replace(label(names, outputs), classes=as_before)

        patch.setattr(scan, "label_classes", by_position)
        before = prepare(config)
    create_run(open_store(config.run, create=True), before.spec, before.parts)
    after = prepare(config)
    assert after.spec == before.spec
    assert "NOT checked" in after.labelling.sentence(after.index)
    assert labels(prepare(replace_run(config, "other"))) == [2, 1]
    assert open_source(config.dataset).class_names == {0: "Cat", 1: "honey_bee"}


def replace_run(config: RunConfig, name: str) -> RunConfig:
    return config.model_copy(update={"run": str(Path(config.run).parent / name)})
