import pyarrow as pa
import pytest

from pipeline.audit.findings_table import FINDINGS_SCHEMA
from pipeline.audit.screening.findings import KIND, screening_sentence
from pipeline.audit.screening.screening_table import SCREENING_SCHEMA


@pytest.mark.parametrize(
    ("words", "kinds", "sentence"),
    [
        ([], [], "0 parts tested to the end; 0 shortcuts"),
        (["nothing"], ["shortcut"], "1 part tested to the end; 0 shortcuts"),
        (["shortcut", "object"], [KIND], "2 parts tested to the end; 1 shortcut"),
        (
            ["shortcut", "shortcut", "nothing"],
            ["shortcut", KIND],
            "3 parts tested to the end; 2 shortcuts, of which the audit's own findings name 1",
        ),
    ],
)
def test_a_shortcut_that_the_audit_has_found_already_counts(words, kinds, sentence):
    parts = pa.Table.from_pylist([{"word": word} for word in words], schema=SCREENING_SCHEMA)
    findings = pa.Table.from_pylist([{"kind": kind} for kind in kinds], schema=FINDINGS_SCHEMA)
    assert screening_sentence(parts, findings) == sentence


def test_the_same_images_and_another_part_are_one_shortcut():
    rows = [{"word": "shortcut"}, {"word": "shortcut", "same_as": 0}]
    parts = pa.Table.from_pylist(rows, schema=SCREENING_SCHEMA)
    findings = pa.Table.from_pylist([{"kind": KIND}], schema=FINDINGS_SCHEMA)
    assert screening_sentence(parts, findings) == "2 parts tested to the end; 1 shortcut"
