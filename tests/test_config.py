from pathlib import Path

import pytest
import yaml

from pipeline.config import DatasetConfig, RunConfig, content_hash, load_config
from pipeline.errors import ConfigError

TEXT = (
    "run: out\ndataset: {source: images, boxes: b.csv}\nmodel: {name: m, weights: w.safetensors}\n"
)


def test_local_paths_are_relative_to_the_file(tmp_path: Path) -> None:
    path = tmp_path / "c.yaml"
    path.write_text(TEXT)
    config = load_config(path)
    assert config.run == str(tmp_path / "out")
    assert config.dataset.source == str(tmp_path / "images")
    assert config.dataset.boxes == str(tmp_path / "b.csv")
    assert config.model.weights == str(tmp_path / "w.safetensors")


def test_paths_of_references_are_relative_to_the_file(tmp_path: Path) -> None:
    path = tmp_path / "c.yaml"
    path.write_text(TEXT + "flow: {references: {run: bank, by: table, table: pairs.csv}}\n")
    references = load_config(path).flow.references
    assert references is not None
    assert references.run == str(tmp_path / "bank")
    assert references.table == str(tmp_path / "pairs.csv")


def test_urls_and_keywords_are_unchanged(tmp_path: Path) -> None:
    path = tmp_path / "c.yaml"
    path.write_text(
        "run: s3://b/run\ndataset: {source: s3://b/x.tar, classes: imagenet-1k}\nmodel: {name: m}\n"
    )
    config = load_config(path)
    assert (config.run, config.dataset.source) == ("s3://b/run", "s3://b/x.tar")
    assert (config.dataset.classes, config.model.weights) == ("imagenet-1k", "pretrained")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "must hold a mapping"),
        ("run: [", "not valid YAML"),
        (TEXT + "nonsense: 1\n", "nonsense: Extra inputs"),
        (TEXT + "flow: {precision: float8}\n", "flow.precision"),
        (TEXT + "flow: {target: 1.5}\n", "flow.target"),
        (TEXT + "flow: {target: true}\n", "flow.target"),
        (TEXT + "flow: {references: {run: r, by: table}}\n", "by: table must be set together"),
        (TEXT + "flow: {references: {run: r, table: t.csv}}\n", "by: table must be set together"),
        (TEXT + "model: {name: m, transform: other}\n", "model.transform"),
        (TEXT + "cluster: {actors: 0}\n", "cluster.actors"),
        (TEXT + "limits: {quarantine: 2}\n", "limits.quarantine"),
        ("run: r\n", "dataset: Field required; model: Field required"),
    ],
)
def test_every_error_is_named(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "c.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError) as caught:
        load_config(path)
    assert message in str(caught.value)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="No such file"):
        load_config(tmp_path / "none.yaml")


def test_the_hash_is_of_what_determines_the_data() -> None:
    base = {"run": "a", "dataset": {"source": "s"}, "model": {"name": "m"}}
    config = RunConfig.model_validate(base)
    same = [
        {"run": "b"},
        {"cluster": {"actors": 7}},
        {"limits": {"quarantine": 0.5, "attempts": 9}},
    ]
    other = [
        {"flow": {"batch_size": 3}},
        {"unit_rows": 64},
        {"limits": {"max_pixels": 5}},
        {"model": {"name": "n"}},
    ]
    assert all(RunConfig.model_validate({**base, **c}).hash() == config.hash() for c in same)
    assert all(RunConfig.model_validate({**base, **c}).hash() != config.hash() for c in other)


def test_fields_added_later_do_not_change_the_hash_of_older_runs() -> None:
    content = {"run": "r", "dataset": {"source": "d"}, "model": {"name": "m"}}
    config = RunConfig.model_validate(content)
    assert config.hash() == "147fb0836dab3575b66dd70847f51a44"
    content["model"] = {"name": "m", "weights_key": "model"}
    assert RunConfig.model_validate(content).identity()["model"]["weights_key"] == "model"


def test_canonical_json_ignores_the_order_of_keys() -> None:
    assert content_hash({"a": 1, "b": [1, 2]}) == content_hash({"b": [1, 2], "a": 1})
    assert content_hash({"a": [1, 2]}) != content_hash({"a": [2, 1]})


@pytest.mark.parametrize(
    ("field", "url"),
    [
        ("run", "s3://AKIAKEY:hunter2@bucket/run"),
        ("dataset.source", "s3://bucket/val?X-Amz-Signature=hunter2"),
        ("dataset.root", "gs://hunter2@bucket/x"),
        ("dataset.boxes", "s3://bucket/boxes.csv?token=hunter2"),
        ("model.weights", "https://me:hunter2@host/w.safetensors"),
    ],
)
def test_urls_with_credentials_are_refused_and_not_repeated(
    tmp_path: Path, field: str, url: str
) -> None:
    content = {"run": "r", "dataset": {"source": "a"}, "model": {"name": "m"}}
    *above, last = field.split(".")
    (content[above[0]] if above else content)[last] = url  # type: ignore[index]
    path = tmp_path / "c.yaml"
    path.write_text(yaml.safe_dump(content))
    with pytest.raises(ConfigError, match=rf"{field}: .*environment") as caught:
        load_config(path)
    assert "hunter2" not in str(caught.value)


def test_a_glob_is_not_a_query() -> None:
    assert DatasetConfig(source="s3://bucket/val-?.tar").source.endswith("?.tar")


def test_an_unset_option_does_not_change_the_hash_of_older_runs() -> None:
    """Runs from before these options are resumed; where one is set, it decides the results."""
    content = {"run": "r", "dataset": {"source": "a"}, "model": {"name": "m"}}
    plain = RunConfig.model_validate(content)
    assert "bit_depth" not in plain.identity()["dataset"]
    deep = RunConfig.model_validate({**content, "dataset": {"source": "a", "bit_depth": 12}})
    assert deep.identity()["dataset"]["bit_depth"] == 12
    assert deep.hash() != plain.hash()
    assert "exclude" not in plain.identity()["dataset"]
    chosen = RunConfig.model_validate({**content, "dataset": {"source": "a", "exclude": []}})
    assert chosen.identity()["dataset"]["exclude"] == []
