"""What a run explains: both targets, one class, embeddings, models without a head."""

from pathlib import Path

import numpy as np
import pytest
import timm
import torch
from safetensors.torch import save_file

from pipeline.engine import prepare, run_flows
from pipeline.errors import ConfigError
from pipeline.models import load_model
from pipeline.store import Run, open_run, open_store, verify
from tests.engine.datasets import MODEL, small_config
from tests.engine.trees import tree

CLASSES = ("cat", "dog", "dog", "predicted")


def computed(config: object) -> Run:
    run_flows(config)
    return open_run(config.run)


def columns(run: Run, *names: str) -> list[np.ndarray]:
    table = run.summary().to_table(["row", *names]).sort_by("row")
    return [table[name].to_numpy() for name in names]


def test_both_flows_of_an_image(tmp_path: Path) -> None:
    run = computed(small_config(tmp_path, flow={"batch_size": 4, "target": "both"}))
    by_label = computed(small_config(tmp_path, "l", flow={"batch_size": 4, "target": "label"}))
    predicted = computed(small_config(tmp_path, "p", flow={"batch_size": 4}))
    correct, first, last = columns(run, "correct", "label_jsd_l00", "label_jsd_l02")
    correct = correct.astype(bool)
    assert 0 < correct.sum() < 40
    maps, label_maps = run.read_maps(0, 40), run.read_maps(0, 40, target="label")
    np.testing.assert_array_equal(maps, predicted.read_maps(0, 40))
    np.testing.assert_array_equal(label_maps[correct], maps[correct])
    np.testing.assert_allclose(label_maps, by_label.read_maps(0, 40), rtol=2e-3, atol=1e-6)
    assert (first[correct] == 0).all()
    assert (last[correct] == 0).all()
    assert (last[~correct] > 0).all()
    assert verify(run.store, run.spec, deep=True).problems == ()


def test_rows_without_a_label_keep_their_map(tmp_path: Path) -> None:
    small_config(tmp_path)
    images = sorted((tmp_path / "images").rglob("*.png"))
    rows = [f"{image},{index % 3 if index % 4 else ''}" for index, image in enumerate(images)]
    (tmp_path / "table.csv").write_text("\n".join(["uri,label", *rows]))
    flow = {"batch_size": 4, "target": "both"}
    config = small_config(tmp_path, dataset={"source": str(tmp_path / "table.csv")}, flow=flow)
    run = computed(config)
    label, divergence, status = columns(run, "label", "label_jsd_l02", "status")
    without = np.isnan(label.astype(float))
    assert without.sum() == 10
    assert (status == 1).all()
    assert run.read_maps(0, 40)[without].any((1, 2, 3)).all()
    assert not run.read_maps(0, 40, target="label")[without].any()
    assert np.isnan(divergence[without]).all()
    assert not np.isnan(divergence[~without]).any()


def test_one_class_for_all(tmp_path: Path) -> None:
    by_index = computed(small_config(tmp_path, flow={"batch_size": 4, "target": 1}))
    by_name = computed(small_config(tmp_path, "n", flow={"batch_size": 4, "target": "class_1"}))
    assert (columns(by_index, "target")[0] == 1).all()
    np.testing.assert_array_equal(by_index.read_maps(0, 40), by_name.read_maps(0, 40))


@pytest.mark.parametrize(
    ("target", "message"),
    [
        (3, "3 is not a valid class .0–2."),
        (-1, "-1 is not a valid class"),
        ("klass_1", "did you mean class_1"),
        ("1", "there is no class '1'"),
    ],
)
def test_an_invalid_class_is_an_error_before_anything_starts(
    tmp_path: Path, target: object, message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        prepare(small_config(tmp_path, flow={"target": target}))


def test_embeddings_are_those_of_the_model(tmp_path: Path) -> None:
    config = small_config(tmp_path, flow={"batch_size": 4, "features": True})
    run = computed(config)
    assert run.features.shape == (40, 24)
    assert verify(run.store, run.spec, deep=True).problems == ()
    loaded = load_model(config.model.name, config.model.weights, config.model.options)
    weight, bias = loaded.model.get_classifier().weight, loaded.model.get_classifier().bias
    logits = torch.from_numpy(run.features[:]) @ weight.T + bias
    pred, confidence = columns(run, "pred", "confidence")
    assert (logits.argmax(1).numpy() == pred).all()
    np.testing.assert_allclose(logits.softmax(1).amax(1).numpy(), confidence, rtol=1e-5)


def test_features_and_both_targets_do_not_depend_on_interruptions(tmp_path: Path) -> None:
    flow = {"batch_size": 4, "features": True, "target": "both"}
    config = small_config(tmp_path, flow=flow)
    run_flows(config)
    before = tree(config.run)
    folder = Path(config.run)
    (folder / "flows.zarr/features/c/1/0").unlink()
    (folder / "flows.zarr/maps_label/c/3/0/0/0").write_bytes(b"torn")
    assert len(verify(open_store(config.run), prepare(config).spec).problems) == 2
    run_flows(config)
    assert tree(config.run) == before


def headless(folder: Path) -> Path:
    """Write the weights of the small model without its head."""
    small_config(folder)
    model = load_model("vit_tiny_patch16_224", str(folder / "model.safetensors"), MODEL).model
    bare = timm.create_model("vit_tiny_patch16_224", num_classes=0, **MODEL)
    bare.load_state_dict({k: v for k, v in model.state_dict().items() if "head" not in k})
    save_file(bare.state_dict(), folder / "headless.safetensors")
    return folder / "headless.safetensors"


def test_a_model_without_a_head_is_run_and_stores_features(tmp_path: Path) -> None:
    weights = headless(tmp_path)
    model = small_config(tmp_path).model.model_dump() | {"weights": str(weights)}
    flow = {"method": "activation", "batch_size": 4, "features": True}
    run = computed(small_config(tmp_path, model=model, flow=flow))
    with_head = computed(small_config(tmp_path, "head", flow={"batch_size": 4, "features": True}))
    np.testing.assert_allclose(run.features[:], with_head.features[:], rtol=1e-5, atol=1e-6)
    assert run.spec.classes == ("class_0", "class_1", "class_2")
    names = ("pred", "target", "confidence", "margin", "correct")
    table = run.summary().to_table()
    assert all(table[name].null_count == 40 for name in names)
    assert table["label"].null_count == 0
    assert table["mass_l00"].null_count == 0


@pytest.mark.parametrize("target", ["label", "both", 1, "class_1"])
def test_class_independent_methods_have_no_target(tmp_path: Path, target: object) -> None:
    flow = {"method": "activation", "target": target}
    with pytest.raises(ConfigError, match="activation does not explain a class"):
        prepare(small_config(tmp_path, flow=flow))


def test_a_transformed_model_is_explained_as_transformed(tmp_path: Path) -> None:
    plain = computed(small_config(tmp_path, flow={"batch_size": 4}))
    model = small_config(tmp_path).model.model_dump() | {"transform": "sata"}
    model["transform_options"] = {"gamma": 0.0}
    changed = computed(small_config(tmp_path, "sata", model=model, flow={"batch_size": 4}))
    all_kept = model | {"transform_options": {"gamma": 0.0, "alpha": 1e30}}
    kept = computed(small_config(tmp_path, "kept", model=all_kept, flow={"batch_size": 4}))
    np.testing.assert_allclose(kept.read_maps(0, 40), plain.read_maps(0, 40), rtol=2e-3, atol=1e-5)
    assert not np.allclose(changed.read_maps(0, 40), plain.read_maps(0, 40), rtol=1e-2, atol=1e-3)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"transform": "sata", "transform_options": {"beta": 1}}, "sata has no option 'beta'"),
        ({"transform": "sata", "transform_options": {"gamma": 2}}, r"gamma \(2\) must be in"),
        ({"transform_options": {"gamma": 0.5}}, "given without a model.transform"),
    ],
)
def test_an_invalid_transform_is_an_error(
    tmp_path: Path, changes: dict[str, object], message: str
) -> None:
    model = small_config(tmp_path).model.model_dump() | changes
    with pytest.raises(ConfigError, match=message):
        prepare(small_config(tmp_path, model=model))
