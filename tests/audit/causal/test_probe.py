import numpy as np
import pytest
import torch
from PIL import Image
from scipy.stats import beta

from pipeline.audit.causal.operators import operator
from pipeline.audit.causal.probe import PROBE_SCHEMA, Probe, probe, sentences
from pipeline.engine.context import open_context
from pipeline.errors import FlowatlasError
from pipeline.synthetic import stamp_tag


def stamped(images):
    """Put the tag that the trained model uses onto images."""
    pictures = [Image.fromarray(image) for image in images.permute(0, 2, 3, 1).numpy()]
    for picture in pictures:
        stamp_tag(picture, 1 / 4, "tr")
    stacked = np.stack([np.asarray(picture) for picture in pictures])
    return torch.from_numpy(stacked).permute(0, 3, 1, 2)


def test_the_class_of_a_tag_gains_by_it_and_others_lose(trained):
    with open_context(trained.uri, threads=1) as context:
        found = probe(stamped, 160, context)
        still = probe(lambda images: images, 40, context)
    assert found.images == 160
    table = found.table()
    assert table.schema.equals(PROBE_SCHEMA)
    first, *rest = table.to_pylist()
    assert (first["class"], first["verdict"]) == (1, "gains")
    assert first["gained"] / first["others"] > 0.5
    assert {row["verdict"] for row in rest} <= {"loses", "unclear"}
    assert "loses" in {row["verdict"] for row in rest}
    assert "images of other classes become" in sentences(table)[0]
    assert still.moved == 0
    assert not sentences(still.table())


def test_counts_intervals_and_rates_are_exact():
    before = np.array([0] * 30 + [1] * 10)
    after = np.array([0] * 18 + [1] * 12 + [1] * 9 + [0])
    zero, one = Probe(("a", "b"), before, after).table().sort_by("class").to_pylist()
    assert (one["others"], one["gained"], one["own"], one["lost"]) == (30, 12, 10, 1)
    assert (zero["others"], zero["gained"], zero["own"], zero["lost"]) == (10, 1, 30, 12)
    assert one["gained_low"] == pytest.approx(beta.ppf(0.025, 12, 19))
    assert one["gained_high"] == pytest.approx(beta.ppf(0.975, 13, 18))
    # 12 came and 1 left: (1 + 13) / 2^13; two of the four tests have this probability.
    assert one["q_gain"] == pytest.approx(2 * 14 / 2**13)
    assert zero["q_loss"] == one["q_gain"]
    assert [zero["verdict"], one["verdict"]] == ["loses", "gains"]


def test_classes_that_exchange_images_at_random_neither_gain_nor_lose():
    """The share of probes with any finding keeps the false discovery rate."""
    random = np.random.default_rng(0)
    alarms = 0
    for _ in range(30):
        before = random.integers(0, 10, 300)
        after = np.where(random.random(300) < 0.4, random.permutation(before), before)
        verdicts = Probe(tuple("abcdefghij"), before, after).table()["verdict"].to_pylist()
        alarms += set(verdicts) != {"unclear"}
    assert alarms <= 6  # 5 % of 30 are 1.5; more than 6 have a probability of 0.0004


def test_an_operator_that_hides_everything_moves_images_to_one_class(trained):
    with open_context(trained.uri, threads=1) as context:
        found = probe(operator("tint", 1.0, "#808080"), 80, context)
    assert len(set(found.after.tolist())) == 1


def test_gone_images_are_an_error(trained, hidden):
    with (
        open_context(trained.uri, threads=1) as context,
        pytest.raises(FlowatlasError, match="can be read now"),
    ):
        probe(stamped, 5, context)
