from collections import Counter

import pytest

from pipeline.report.opening.confusions import LEAST, SHOWN, read_answers
from pipeline.store import Status
from tests.atlas.synthetic import synthetic_run


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return synthetic_run(tmp_path_factory.mktemp("answers") / "run", images=900, classes=4, seed=3)


def test_pairs_are_counted_and_shown_by_the_images_of_which_the_model_is_surest(run):
    found = read_answers(run, 5)
    table = run.summary().to_table().to_pandas()
    table = table[table.status == Status.OK]
    counts = Counter(zip(table.label, table.pred, strict=True))
    assert found.counts == counts
    assert found.right == int(table.correct.sum())
    assert len(found.confusions) == min(5, len(found.confusions))
    wrong = sorted((n for (a, b), n in counts.items() if a != b and n >= LEAST), reverse=True)
    assert [item.images for item in found.confusions] == wrong[:5]
    for item in found.confusions:
        own = table[(table.label == item.label) & (table.pred == item.answer)]
        surest = own.sort_values(["confidence", "row"], ascending=[False, True]).row
        assert list(item.rows) == surest.head(SHOWN).tolist()
        assert item.of == int((table.label == item.label).sum())
        assert item.back == counts[item.answer, item.label]


def test_chance_is_the_agreement_of_the_frequencies(run):
    found = read_answers(run, 1)
    table = run.summary().to_table().to_pandas()
    table = table[table.status == Status.OK]
    shares = table.label.value_counts(normalize=True), table.pred.value_counts(normalize=True)
    expected = sum(shares[0].get(c, 0) * shares[1].get(c, 0) for c in range(4))
    assert found.chance == pytest.approx(expected)
