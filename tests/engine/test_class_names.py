import json
from dataclasses import replace
from pathlib import Path

import pytest

from pipeline.config import DatasetConfig
from pipeline.engine import prepare
from pipeline.engine.class_names import class_names_of
from pipeline.engine.inspection.remembered import inspected
from pipeline.engine.scan import scan
from pipeline.errors import ConfigError
from pipeline.images import open_source
from pipeline.models import Outputs
from tests.engine.datasets import MODEL, small_config


def headless(folder: Path, **dataset: object):
    config = small_config(folder, flow={"method": "activation"})
    model = config.model.model_copy(update={"options": {**MODEL, "num_classes": 0}})
    source = config.dataset.model_copy(update=dataset)
    return config.model_copy(update={"model": model, "dataset": source})


def test_a_model_without_a_head_takes_the_folders_names(tmp_path: Path) -> None:
    assert prepare(headless(tmp_path)).spec.classes == ("class_0", "class_1", "class_2")


def test_a_file_may_name_more_classes_than_the_labels_need(tmp_path: Path) -> None:
    names = tmp_path / "names.txt"
    names.write_text("ant\nbee\ncat\ndog\n")
    spec = prepare(headless(tmp_path, classes=str(names))).spec
    assert spec.classes == ("ant", "bee", "cat", "dog")
    names.write_text("ant\nbee\n")
    with pytest.raises(ConfigError, match="names 2 classes but the dataset has the label 2"):
        prepare(headless(tmp_path, classes=str(names)))


def test_without_labels_there_is_one_unnamed_class(tmp_path: Path) -> None:
    config = headless(tmp_path)
    table = tmp_path / "table.csv"
    uris = sorted(map(str, (tmp_path / "images").rglob("*.png")))
    table.write_text("\n".join(["uri", *uris]))
    assert prepare(headless(tmp_path, source=str(table))).spec.classes == ("class 0",)
    assert config.flow.target == "predicted"


def test_a_label_beyond_the_outputs_is_an_error(tmp_path: Path) -> None:
    small_config(tmp_path)
    (tmp_path / "images/class_1").rename(tmp_path / "images/class_9")
    (tmp_path / "images/extra").mkdir()
    next((tmp_path / "images/class_0").iterdir()).rename(tmp_path / "images/extra/1.png")
    with pytest.raises(ConfigError, match=r"4 classes .* but vit_tiny_patch16_224 has 3 outputs"):
        prepare(small_config(tmp_path))
    table = tmp_path / "table.csv"
    table.write_text("uri,label\nimages/class_0/0000.png,3\n")
    with pytest.raises(ConfigError, match=r"label 3, but vit_tiny_patch16_224 has only 3 classes"):
        prepare(small_config(tmp_path, dataset={"source": str(table)}))


def test_outputs_that_a_mapping_leaves_out_have_their_own_names(tmp_path: Path) -> None:
    """But not in a run that an earlier version began without them."""
    small_config(tmp_path)
    labels = tmp_path / "labels.json"
    labels.write_text(json.dumps({"class_0": 2, "class_1": 1, "class_2": 1}))
    dataset = DatasetConfig(source=str(tmp_path / "images"), labels=str(labels))
    config = small_config(tmp_path).model_copy(update={"dataset": dataset})
    source = open_source(config.dataset)
    model = replace(
        inspected(config, source.root, None),
        outputs=Outputs("a model", 3, ("tench, Tinca tinca", "goldfish", "hen")),
    )
    scanned = scan(config, source, model.outputs, None)
    found = class_names_of(config, scanned, model, None)
    assert found[0] == "tench, Tinca tinca"
    assert found[1:] == tuple(source.class_names[index] for index in (1, 2))
    earlier = ("class 0", *found[1:])
    assert class_names_of(config, scanned, model, None, earlier) == earlier
    assert class_names_of(config, scanned, model, None, found) == found
