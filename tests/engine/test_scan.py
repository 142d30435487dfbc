"""Labels of whole datasets, from the images on disk to run.json."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.config import RunConfig
from pipeline.engine import Prepared, prepare, scan
from pipeline.engine.scan import scan as scanned
from pipeline.errors import ConfigError
from pipeline.images import open_source
from pipeline.models import Outputs
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


def _archive(folder: Path, *names: str) -> str:
    members = [
        (f"{i}.{kind}", x)
        for i, n in enumerate(names)
        for kind, x in (("png", PICTURE), ("cls", n.encode()))
    ]
    tar_of(folder / "n.tar", members)
    return "n.tar"


def _parquet(folder: Path, *names: str) -> str:
    table = pa.table(
        {"image": [{"bytes": PICTURE, "path": n} for n in names], "label": list(names)}
    )
    pq.write_table(table, folder / "n.parquet")
    return "n.parquet"


def _table(folder: Path, *names: str) -> str:
    rows = [f"{i}.png,{name}" for i, name in enumerate(names)]
    (folder / "0.png").write_bytes(PICTURE)
    (folder / "n.csv").write_text("\n".join(["uri,label", *rows]))
    return "n.csv"


def _folder(folder: Path, *names: str) -> str:
    for i, name in enumerate(names):
        (folder / "n" / name).mkdir(parents=True, exist_ok=True)
        (folder / "n" / name / f"{i}.png").write_bytes(PICTURE)
    return "n"


@pytest.mark.parametrize("kind", [_archive, _parquet, _table, _folder])
@pytest.mark.parametrize(("outputs", "by"), [(0, "dataset"), (2, "position")])
def test_every_kind_of_dataset_numbers_its_own_names_alike(
    tmp_path: Path, kind: Callable[..., str], outputs: int, by: str
) -> None:
    source = kind(tmp_path, "dog", "cat", "dog")
    config = small_config(tmp_path, dataset={"source": str(tmp_path / source)})
    found = scanned(config, open_source(config.dataset), Outputs("the model", outputs))
    assert found.labelling.by == by
    assert dict(found.labelling.classes) == {"cat": 0, "dog": 1}
    assert (found.index.labelled, found.index.highest_label) == (3, 1)
    assert found.source.class_names == {0: "cat", 1: "dog"}


@pytest.mark.parametrize("kind", [_archive, _parquet, _table, _folder])
def test_every_kind_of_dataset_is_refused_alike(tmp_path: Path, kind: Callable[..., str]) -> None:
    config = small_config(
        tmp_path, dataset={"source": str(tmp_path / kind(tmp_path, "dog", "cat"))}
    )
    with pytest.raises(ConfigError, match=r"2 classes .* but the model has 5 outputs"):
        scanned(config, open_source(config.dataset), Outputs("the model", 5))


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
