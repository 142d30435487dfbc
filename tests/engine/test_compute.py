"""What a unit stores beside its maps: statistics of attention heads."""

from pathlib import Path

import numpy as np
import pytest
import timm
import torch
from safetensors.torch import save_file

from pipeline.atlas import aggregate, open_atlas
from pipeline.config import LimitsConfig
from pipeline.engine import prepare, run_flows
from pipeline.engine.batch import indexed_images
from pipeline.engine.context import open_context
from pipeline.errors import RunIncomplete, UnsupportedModel
from pipeline.flows import create_flow
from pipeline.measures.heads import HEAD_STATISTICS
from pipeline.store import Run, open_run, verify
from tests.engine.datasets import small_config
from tests.engine.multi_label import several_config, write_several
from tests.engine.trees import tree

HEADS = {"batch_size": 4, "heads": True}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    config = small_config(tmp_path_factory.mktemp("heads"), flow=HEADS)
    (Path(config.dataset.source) / "class_1/0004.png").write_bytes(b"?")
    config = config.model_copy(update={"limits": LimitsConfig(quarantine=1)})
    run_flows(config)
    return open_run(config.run)


def test_heads_are_stored_of_every_image_as_the_method_gives_them(run: Run) -> None:
    stored = run.heads[:]
    assert (stored.shape, stored.dtype) == ((40, 3, 2, len(HEAD_STATISTICS)), np.float16)
    assert run.heads.attrs["layers"] == ["blocks.0", "blocks.1", "blocks.2"]
    assert run.heads.attrs["statistics"] == list(HEAD_STATISTICS)
    assert run.heads.metadata.dimension_names == ("image", "head_layer", "head", "statistic")
    assert verify(run.store, run.spec, deep=True).problems == ()
    ok = run.status[:] == 1
    assert not stored[~ok].any()
    assert (~ok).sum() == 1
    with open_context(run.uri, threads=1) as context:
        places = [item.place for item in indexed_images(run.index_rows(0, 40), run.box_rows(0, 40))]
        shown = [context.images.load(places[row]).pixels for row in np.flatnonzero(ok)]
        pixels = context.transform.normalise(torch.from_numpy(np.stack(shown)))
        assert "heads" not in context.flow(pixels[:2]).extras, "only workers need them"
        with create_flow("rollout", context.model, heads=True) as flow:
            wanted = flow(pixels).extras["heads"].numpy()
    np.testing.assert_allclose(stored[ok], wanted, rtol=2**-11, atol=1e-6)


def test_the_atlas_holds_their_exact_means_by_class(run: Run) -> None:
    aggregate(run, tables=["label"], workers=2, k=2)
    atlas = open_atlas(run, "label")
    labels = np.array(run.summary().to_table(columns=["label"])["label"].to_pylist())
    for group in range(3):
        own = run.heads[:][(labels == group) & (run.status[:] == 1)].astype(np.float64)
        np.testing.assert_allclose(atlas.head_mean[group], own.mean(0), rtol=1e-6)
        np.testing.assert_allclose(atlas.head_variance[group], own.var(0), rtol=1e-4, atol=1e-8)
        assert (atlas.head_known[group] == len(own)).all()
    assert atlas.head_groups().group.shape == (3, 2)


def test_a_resumed_run_has_the_same_bytes(tmp_path: Path) -> None:
    config = small_config(tmp_path, flow=HEADS)
    run_flows(config)
    before = tree(config.run)
    folder = Path(config.run)
    (folder / "flows.zarr/heads/c/1/0/0/0").unlink()
    (folder / "flows.zarr/heads/c/3/0/0/0").write_bytes(b"torn")
    run_flows(config)
    assert tree(config.run) == before


def test_a_run_without_heads_is_what_it_was(tmp_path: Path) -> None:
    config = small_config(tmp_path)
    spec = prepare(config).spec
    assert "heads" not in spec.to_json()
    assert "head_layers" not in spec.to_json()
    assert "heads" not in config.identity()["flow"]
    run_flows(config)
    with pytest.raises(RunIncomplete, match=r"flow\.heads: true"):
        _ = open_run(config.run).heads


def test_a_model_without_such_heads_is_refused_before_anything_starts(tmp_path: Path) -> None:
    weights = tmp_path / "cnn.safetensors"
    save_file(timm.create_model("test_resnet", num_classes=3).state_dict(), weights)
    model = {"name": "test_resnet", "options": {"num_classes": 3}, "weights": str(weights)}
    config = small_config(tmp_path, model=model, flow={"method": "activation", "heads": True})
    with pytest.raises(UnsupportedModel, match=r"flow\.heads: .*no attention leads"):
        prepare(config)


def test_rows_of_one_image_with_several_labels_have_the_same_heads(tmp_path: Path) -> None:
    write_several(tmp_path)
    config = several_config(tmp_path, heads=True, target="label")
    run_flows(config)
    found = open_run(config.run)
    image = found.summary().to_table(columns=["image"])["image"].to_numpy()
    heads, shown = found.heads[:], found.read_maps(0, found.spec.rows).any((1, 2, 3))
    several = 0
    for number in set(image[shown].tolist()):
        own = heads[shown & (image == number)].astype(np.float32)
        several += len(own) > 1
        np.testing.assert_allclose(own, np.broadcast_to(own[:1], own.shape), rtol=2**-9, atol=1e-5)
    assert several
