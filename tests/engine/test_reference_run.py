"""Runs that compare images with those of another run."""

from pathlib import Path

import numpy as np
import pytest
import torch

from pipeline.config import ClusterConfig, RunConfig
from pipeline.engine import prepare, run_flows
from pipeline.engine.ray import RayEngine
from pipeline.errors import ConfigError, RunConflict
from pipeline.store import Run, open_run, open_store, verify
from tests.engine.datasets import small_config, write_images
from tests.engine.trees import tree

FEATURES = {"method": "activation", "batch_size": 4, "features": True}


def bank_config(folder: Path, **changes: object) -> RunConfig:
    return small_config(folder, "bank", **{"flow": FEATURES, **changes})


@pytest.fixture
def bank(tmp_path: Path) -> Run:
    config = bank_config(tmp_path)
    run_flows(config)
    return open_run(config.run)


def query(folder: Path, bank: Run, name: str = "query", **flow: object) -> RunConfig:
    references = {"run": bank.uri, "by": "prototypes", **flow.pop("references", {})}
    flow = {"method": "fam", "batch_size": 4, **flow, "references": references}
    return small_config(folder, name, flow=flow)


def summary(run: Run, *names: str) -> list[np.ndarray]:
    table = run.summary().to_table(["row", *names]).sort_by("row")
    return [table[name].to_numpy() for name in names]


@pytest.mark.parametrize(
    ("method", "by"),
    [("fam", "prototypes"), ("fam", "neighbours"), ("sfam", "prototypes"), ("daam", "neighbours")],
)
def test_images_are_never_compared_with_themselves(
    tmp_path: Path, bank: Run, method: str, by: str
) -> None:
    config = query(tmp_path, bank, method=method, references={"by": by, "k": 1})
    run_flows(config)
    run = open_run(config.run)
    features = torch.nn.functional.normalize(torch.from_numpy(bank.features[:]), dim=1)
    (labels,) = summary(bank, "label")
    expected = []
    for image in range(40):
        others = [i for i in range(40) if i != image]
        if by == "neighbours":
            nearest = (features[others] @ features[image]).argmax()
            expected.append(labels[others][nearest])
            continue
        raw = torch.from_numpy(bank.features[:])
        means = [raw[[i for i in others if labels[i] == c]].mean(0) for c in range(3)]
        scores = torch.nn.functional.normalize(torch.stack(means), dim=1) @ features[image]
        expected.append(int(scores.argmax()))
    pred, correct = summary(run, "pred", "correct")
    assert pred.tolist() == expected
    assert 0 < correct.astype(bool).mean() < 1
    assert run.spec.references == bank.spec.hash
    assert run.spec.classes == bank.spec.classes
    assert verify(run.store, run.spec, deep=True).problems == ()


def test_another_dataset_is_compared_with_all_references(tmp_path: Path, bank: Run) -> None:
    # The same pictures at another place: now each is its own nearest reference.
    other = write_images(tmp_path / "others")
    config = query(tmp_path, bank, references={"by": "neighbours", "k": 1})
    config = config.model_copy(
        update={"dataset": config.dataset.model_copy(update={"source": str(other)})}
    )
    run_flows(config)
    assert all(summary(open_run(config.run), "correct")[0])


def test_both_targets_features_and_resuming_work_together(tmp_path: Path, bank: Run) -> None:
    config = query(tmp_path, bank, target="both", features=True)
    run_flows(config)
    run, before = open_run(config.run), tree(config.run)
    np.testing.assert_allclose(run.features[:], bank.features[:], rtol=1e-5, atol=1e-6)
    correct, divergence = summary(run, "correct", "label_jsd_l00")
    assert ((divergence == 0) == correct.astype(bool)).all()
    (Path(config.run) / "receipts/00000002.json").unlink()
    run_flows(config)
    assert tree(config.run) == before


def test_two_actors_give_the_same_bytes(tmp_path: Path, bank: Run) -> None:
    config = query(tmp_path, bank, target="both", features=True)
    run_flows(config)
    elsewhere = config.model_copy(update={"run": str(tmp_path / "actors")})
    actors = ClusterConfig(actors=2, gpus_per_actor=0, cpus_per_actor=1)
    with RayEngine(actors) as engine:
        run_flows(elsewhere, engine=engine)
    assert tree(elsewhere.run) == tree(config.run)


def test_pairs_of_a_table(tmp_path: Path, bank: Run) -> None:
    uris = bank.index()["uri"].to_pylist()
    lines = [f"{uris[i]},{uris[j]}" for i in range(39) for j in ((i + 1) % 40, (i + 5) % 40)]
    table = tmp_path / "pairs.csv"
    table.write_text("\n".join(["uri,reference", *lines]))
    references = {"by": "table", "table": str(table)}
    config = query(tmp_path, bank, references=references)
    config = config.model_copy(
        update={"limits": config.limits.model_copy(update={"quarantine": 0.1})}
    )
    totals = run_flows(config)
    assert totals.reasons == {"no_reference": 1}
    run = open_run(config.run)
    (labels,) = summary(bank, "label")
    (pred,) = summary(run, "pred")
    for row in range(39):
        assert pred[row] in (labels[(row + 1) % 40], labels[(row + 5) % 40])
    table.write_text("uri,reference\na,nowhere.png\n")
    with pytest.raises(ConfigError, match=r"'nowhere.png' is not a usable, labelled image"):
        prepare(query(tmp_path, bank, "other", references=references))
    table.write_text("uri,other\n")
    with pytest.raises(ConfigError, match="needs the columns uri and reference"):
        prepare(query(tmp_path, bank, "other", references=references))


def test_few_shots(tmp_path: Path, bank: Run) -> None:
    config = query(tmp_path, bank, options={"n_way": 2, "k_shot": 3, "seed": 1})
    run_flows(config)
    assert len(set(summary(open_run(config.run), "pred")[0].tolist())) == 2
    with pytest.raises(ConfigError, match=r"flow\.options: n_way is 4"):
        prepare(query(tmp_path, bank, options={"n_way": 4}))


def test_pooled_embeddings(tmp_path: Path) -> None:
    config = bank_config(tmp_path, flow={**FEATURES, "embedding": "pooled"})
    run_flows(config)
    pooled = open_run(config.run)
    config = query(tmp_path, pooled, embedding="pooled")
    run_flows(config)
    assert open_run(config.run).spec.layers == ("features",)
    with pytest.raises(ConfigError, match=r"differs in flow\.embedding"):
        prepare(query(tmp_path, pooled))


@pytest.mark.parametrize(
    ("flow", "message"),
    [
        ({"method": "activation"}, "activation does not use references"),
        ({"method": "daam"}, "set flow.references.by: neighbours"),
        ({"options": {"k": 3}}, "k is set by flow.references"),
        ({"options": {"temperature": -1.0}}, r"flow\.options: .*positive"),
        ({"target": "class_9"}, "there is no class 'class_9'"),
        ({"target": 7}, "7 is not a valid class"),
    ],
)
def test_invalid_comparisons_are_errors_before_anything_starts(
    tmp_path: Path, bank: Run, flow: dict[str, object], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        prepare(query(tmp_path, bank, **flow))


def test_an_unusable_reference_run_is_an_error(tmp_path: Path, bank: Run) -> None:
    plain = small_config(tmp_path, "plain", flow={"batch_size": 4})
    run_flows(plain)
    with pytest.raises(ConfigError, match=r"stores no features.*flow\.features: true"):
        prepare(query(tmp_path, open_run(plain.run)))
    (Path(bank.uri) / "_SUCCESS").unlink()
    with pytest.raises(ConfigError, match="is not finished"):
        prepare(query(tmp_path, bank))
    config = query(tmp_path, bank, references={"run": str(tmp_path / "nowhere")})
    with pytest.raises(ConfigError, match=r"flow\.references\.run"):
        prepare(config)


def test_another_model_is_an_error(tmp_path: Path, bank: Run) -> None:
    config = query(tmp_path, bank)
    model = config.model.model_copy(
        update={"input": config.model.input.model_copy(update={"crop_pct": 0.5})}
    )
    with pytest.raises(ConfigError, match="differs in input transform"):
        prepare(config.model_copy(update={"model": model}))


def test_classes_with_other_numbers_are_an_error(tmp_path: Path, bank: Run) -> None:
    other = write_images(tmp_path / "others")
    (other / "class_0").rename(other / "klass")
    config = query(tmp_path, bank)
    dataset = config.dataset.model_copy(update={"source": str(other)})
    with pytest.raises(ConfigError, match=r"2 of .* 3 classes .*no output is called 'klass'"):
        prepare(config.model_copy(update={"dataset": dataset}))


def test_references_that_changed_since_are_a_conflict(tmp_path: Path, bank: Run) -> None:
    config = query(tmp_path, bank)
    run_flows(config)
    (Path(config.run) / "receipts/00000002.json").unlink()
    spec = open_run(config.run).spec
    write_images(tmp_path / "images", images=43)
    assert len(verify(open_store(config.run), spec).problems) == 1
    changed = bank_config(tmp_path, unit_rows=16)
    for path in sorted(Path(bank.uri).rglob("*"), reverse=True):
        path.unlink() if path.is_file() else path.rmdir()
    run_flows(changed)
    with pytest.raises(RunConflict):
        run_flows(config)


def test_methods_without_references_report_what_to_set(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"give flow\.references"):
        prepare(small_config(tmp_path, flow={"method": "fam"}))
