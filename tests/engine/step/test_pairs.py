"""Images with several labels: every row explains its own output, and is judged by it."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from pipeline.config import RunConfig
from pipeline.engine import prepare, run_flows
from pipeline.engine.batch import IndexedImage
from pipeline.engine.context import load_configured
from pipeline.engine.step.pairs import explain_pairs
from pipeline.errors import ConfigError
from pipeline.flows import Flow, create_flow
from pipeline.images import InputTransform, Place
from pipeline.measures.threshold import least_logit
from pipeline.store import Run, open_run
from pipeline.store.crops import CropReader
from tests.engine.datasets import small_config
from tests.engine.multi_label import CLASSES, several_config, write_several
from tests.engine.test_run import failing_summaries
from tests.engine.trees import tree


def _normalised(run: Run, pixels: np.ndarray) -> Tensor:
    return InputTransform.from_dict(run.spec.input).normalise(torch.from_numpy(pixels))


def logits_of(run: Run) -> Tensor:
    """Return the logits of every row, from the model alone."""
    model = load_configured(run.config.model).model
    rows = range(run.spec.rows)
    crops = CropReader(run, rows)
    pixels = np.stack([crops.load(row).pixels for row in rows])
    with torch.no_grad():
        return model(_normalised(run, pixels))


def explained(run: Run, targets: list[int | None]) -> Tensor:
    """Return the maps of every row for its target, of one image at a time; zeros without one."""
    model = load_configured(run.config.model).model
    crops = CropReader(run, range(run.spec.rows))
    maps = torch.zeros(run.spec.rows, len(run.spec.layers), *run.spec.grid)
    with create_flow("daam", model) as flow:
        for row, target in enumerate(targets):
            if target is not None:
                image = _normalised(run, crops.load(row).pixels[None])
                one = flow(image, torch.tensor([target]))
                maps[row] = one.maps[0]
    return maps


def computed(config: RunConfig) -> tuple[Run, dict[str, list]]:
    """Compute a run; return it and its summary."""
    run_flows(config)
    run = open_run(config.run)
    return run, run.summary().to_table().sort_by("row").to_pydict()


def check(run: Run, summary: dict[str, list]) -> None:
    """Compare what is stored with the model, and judgements with labels and scores."""
    np.testing.assert_allclose(run.logits[:], logits_of(run), atol=1e-4)
    maps = explained(run, summary["target"])
    np.testing.assert_allclose(run.read_maps(0, run.spec.rows), maps, atol=2e-3 * float(maps.max()))
    labels = run.index()["labels"].to_pylist()
    least = least_logit(run.config.model.threshold)
    for row, target in enumerate(summary["target"]):
        if target is None:
            found = [summary[name][row] for name in ("label", "pred", "correct", "confidence")]
            assert found == [None] * 4
            assert summary["mass_flow"][row] is None
            assert summary["brightness"][row] is not None
            continue
        logit = float(run.logits[row][target])
        there, predicted = target in labels[row], logit >= least
        assert summary["label"][row] == (target if there else None)
        assert summary["pred"][row] == (target if predicted else None)
        assert summary["correct"][row] == (there == predicted if there or predicted else None)
        assert summary["confidence"][row] == pytest.approx(1 / (1 + np.exp(-logit)), abs=1e-6)
        assert summary["margin"][row] is None


def test_each_label_is_explained(tmp_path: Path) -> None:
    labels = write_several(tmp_path)
    run, summary = computed(several_config(tmp_path, target="label"))
    assert run.spec.images == len(labels)
    assert summary["image"] == [n for n, own in enumerate(labels) for _ in own or [None]]
    best = run.logits[:].argmax(1).tolist()
    wanted = [label for own in labels for label in own or [None]]
    assert summary["target"] == [best[n] if w is None else w for n, w in enumerate(wanted)]
    check(run, summary)


def test_predicted_outputs_are_explained_up_to_a_number(tmp_path: Path) -> None:
    labels = write_several(tmp_path)
    run, summary = computed(several_config(tmp_path, max_outputs=2))
    assert run.spec.rows == 2 * len(labels)
    least = least_logit(run.config.model.threshold)
    for image in range(len(labels)):
        logits = run.logits[2 * image]
        above = [k for k in np.argsort(-logits, kind="stable").tolist() if logits[k] >= least]
        assert summary["target"][2 * image : 2 * image + 2] == [*above, None, None][:2]
    assert None in summary["target"], "an image has fewer predicted outputs than rows"
    check(run, summary)


def test_one_class_is_explained_in_every_image(tmp_path: Path) -> None:
    labels = write_several(tmp_path)
    config = several_config(tmp_path, target=CLASSES[2], batch_size=5)
    model = config.model.model_copy(update={"threshold": 0.7})
    run, summary = computed(config.model_copy(update={"model": model}))
    assert summary["target"] == [2] * len(labels)
    check(run, summary)


@pytest.mark.parametrize("target", ["label", "predicted"])
def test_the_bytes_do_not_depend_on_interruptions(tmp_path: Path, target: str) -> None:
    write_several(tmp_path)
    undisturbed = several_config(tmp_path, "undisturbed", target=target)
    run_flows(undisturbed)
    again = several_config(tmp_path, "again", target=target)
    with failing_summaries(2):
        run_flows(again)
    assert tree(again.run) == tree(undisturbed.run)
    receipts: list[object] = []
    run_flows(again, on_receipt=receipts.append)
    assert not receipts


def test_the_plan_counts_images_and_labels(tmp_path: Path) -> None:
    labels = write_several(tmp_path)
    prepared = prepare(several_config(tmp_path, target="label"))
    number = sum(map(len, labels))
    sentence = prepared.labelling.sentence(prepared.index)
    start = f"{len(labels)} images with {number} labels, 4 of 4 classes matched by name"
    assert sentence.startswith(start)
    assert prepared.spec.counted == f"{len(labels)} images in {prepared.spec.rows} rows"
    content = prepared.labelling.to_json(prepared.index)
    assert (content["images"], content["labels"]) == (len(labels), number)


def test_one_answer_for_several_labels_is_refused(tmp_path: Path) -> None:
    write_several(tmp_path)
    config = several_config(tmp_path)
    model = config.model.model_copy(update={"output": "auto"})
    with pytest.raises(ConfigError, match=r"has \d labels .*model.output: sigmoid"):
        prepare(config.model_copy(update={"model": model}))


def test_two_flows_of_several_labels_are_refused(tmp_path: Path) -> None:
    write_several(tmp_path)
    with pytest.raises(ConfigError, match=r"target is both.*use label .* or predicted"):
        prepare(several_config(tmp_path, target="both"))


def test_a_sigmoid_of_single_labels_is_as_before(tmp_path: Path) -> None:
    config = small_config(tmp_path)
    model = config.model.model_copy(update={"output": "sigmoid"})
    prepared = prepare(config.model_copy(update={"model": model}))
    assert prepared.spec.images is None
    assert "images" not in prepared.spec.to_json()
    assert "logits" not in prepared.spec.arrays
    assert not {"threshold"} & prepared.spec.config["model"].keys()
    assert not {"max_outputs"} & prepared.spec.config["flow"].keys()
    assert not {"label_separator", "label_columns"} & prepared.spec.config["dataset"].keys()


def test_only_what_is_open_is_asked_of_the_model() -> None:
    """Images without labels share a batch with others: each row is computed once."""
    asked: list[int] = []
    logits = torch.tensor([[0.0, 2, 1], [0, 2, 1], [5, 0, 0], [1, 2, 3]])

    def call(rows: Tensor, targets: Tensor | None) -> tuple[Flow, None]:
        asked.extend(rows.tolist())
        own = logits[rows]
        target = own.argmax(1) if targets is None else targets
        maps = (1.0 + target)[:, None, None, None].expand(-1, 2, 3, 3)
        return Flow(maps, ("a", "b"), own, target, {"x": target.float()[:, None]}), None

    images = [IndexedImage(row, Place("", None, None), None, np.empty((0, 4)), image)
              for row, image in enumerate([0, 0, 1, 2])]  # fmt: skip
    flow, _ = explain_pairs(images, torch.tensor([2, 0, -1, 1]), 0, 0.5, call)
    assert sorted(asked) == [0, 1, 2, 3]
    assert flow.target.tolist() == [2, 0, 0, 1]
    assert flow.maps[:, 0, 0, 0].tolist() == [3, 1, 1, 2]
    assert flow.extras["x"][:, 0].tolist() == [2, 0, 0, 1]
    assert torch.equal(flow.logits, logits)
