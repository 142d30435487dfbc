import pyarrow as pa
import pytest

from pipeline.atlas.filter import parse
from pipeline.errors import ConfigError

PART = pa.table(
    {
        "confidence": pa.array([0.95, 0.5, None, 0.99], pa.float32()),
        "correct": pa.array([False, True, None, True]),
        "label": pa.array([3, 7, 7, None], pa.int32()),
        "split": pa.array(["train", "val", None, "val"]),
        "gini_l00": pa.array([0.1, 0.2, 0.3, 0.4], pa.float32()),
    }
)


@pytest.mark.parametrize(
    ("text", "rows"),
    [
        ("confidence > 0.9", [0, 3]),
        ("confidence > 0.9 and not correct", [0]),
        ("not correct", [0]),
        ("correct or label == 7", [1, 2, 3]),
        ("0.1 < gini_l00 <= 0.3", [1, 2]),
        ("split == 'val'", [1, 3]),
        ("split != 'val'", [0]),
        ("label in (3, 9)", [0]),
        ("label not in [3]", [1, 2]),
        ("split is None", [2]),
        ("split is not None and label is not None", [0, 1]),
        ("gini_l00 * 2 - confidence < -0.5", [0]),
        ("confidence > -1", [0, 1, 3]),
        ("correct == True", [1, 3]),
        (" label == 7\n", [1, 2]),
    ],
)
def test_a_filter_selects_rows_and_null_does_not_pass(text, rows):
    where = parse(text, PART.schema)
    assert where.chosen(PART).nonzero()[0].tolist() == rows
    assert set(where.columns) <= set(PART.column_names)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("confidense > 0.9", "unknown column: confidense; did you mean confidence"),
        ("camera == 'x'", "unknown column: camera; there are: confidence, correct, label, split"),
        ("__import__('os').system('true')", "it may not contain"),
        ("confidence.real > 1", "it may not contain 'confidence.real'"),
        ("[x for x in (1,)]", "it may not contain"),
        ("(lambda: 1)() == 1", "it may not contain"),
        ("label in split", "it may not contain 'split'"),
        ("label ** 9 ** 9 > 1", "it may not contain"),
        ("confidence >", "is not a valid filter"),
        ("", "is not a valid filter"),
        ("'\\0'", "may not contain|is not a valid filter"),
        ("1", "it may not contain '1'"),
        ("split > 3", "cannot be compared"),
        ("confidence and split", "cannot be compared"),
        ("label == b'3'", "it may not contain"),
        ("(" * 300 + "label" + ")" * 300, "is not a valid filter"),
        ("label == 3 or " * 900 + "label == 3", "characters"),
    ],
)
def test_anything_else_is_an_error_with_the_reason(text, message):
    with pytest.raises(ConfigError, match=message):
        parse(text, PART.schema)
