from dataclasses import replace

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.audit.finding import KINDS, SEVERITIES, SHOWN, Finding
from pipeline.audit.findings_table import (
    EVIDENCE_SCHEMA,
    FINDINGS_SCHEMA,
    evidence_table,
    findings_table,
    numbered,
    read_findings,
    write_findings,
)
from pipeline.audit.places import PLACES
from pipeline.errors import RunIncomplete
from pipeline.store.parquet import parquet_bytes
from pipeline.store.reader import FINDINGS
from tests.atlas.synthetic import synthetic_run

FAULT = Finding("fault", None, "phash", 3, 6, "medium", "Three pairs.")
number = st.floats(allow_nan=False)
text = st.text(st.characters(exclude_categories=("Cs",)), max_size=9)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return synthetic_run(tmp_path_factory.mktemp("run"), 32, 2)


@given(
    st.lists(
        st.builds(
            Finding,
            kind=st.sampled_from(KINDS),
            class_id=st.none() | st.integers(0, 999),
            statistic=text,
            value=number,
            images=st.integers(0, 10**12),
            severity=st.sampled_from(SEVERITIES),
            sentence=text,
            class_name=st.none() | text,
            control=st.none() | number,
            q=st.none() | number,
            columns=st.lists(text, max_size=3).map(tuple),
            place=st.none() | st.sampled_from(list(PLACES)),
            supporting=st.lists(text, max_size=3).map(tuple),
            evidence=st.lists(
                st.tuples(st.integers(0, 10**12), st.floats(width=32, allow_nan=False)),
                max_size=SHOWN,
            ).map(tuple),
        ),
        max_size=4,
    )
)
def test_what_is_written_is_read(run, findings):
    findings = numbered(findings)
    write_findings(run, findings)
    assert read_findings(run) == findings


def test_names_with_commas_stay_one_item(run):
    odd = replace(FAULT, columns=("a, b", "c"), supporting=("d,e",))
    write_findings(run, numbered([odd]))
    (found,) = read_findings(run)
    assert (found.columns, found.supporting) == (("a, b", "c"), ("d,e",))


def test_a_finding_of_the_whole_run_has_no_class():
    (row,) = findings_table(numbered([FAULT])).to_pylist()
    assert (row["finding"], row["class"], row["class_name"], row["q"]) == (0, None, None, None)


def test_evidence_keeps_its_order_and_its_limit():
    many = tuple((row, float(-row)) for row in range(100, 100 + 2 * SHOWN))
    found = evidence_table(numbered([FAULT, replace(FAULT, evidence=many)])).to_pandas()
    assert found["finding"].unique().tolist() == [1]
    assert found["row"].tolist() == [row for row, _ in many[:SHOWN]]
    assert found["rank"].tolist() == list(range(SHOWN))


def test_nothing_found_is_an_empty_table():
    assert findings_table([]).equals(FINDINGS_SCHEMA.empty_table())
    assert evidence_table([]).equals(EVIDENCE_SCHEMA.empty_table())


def test_an_audit_of_an_earlier_version_says_what_to_do(run):
    table = findings_table(numbered([FAULT])).drop_columns(["columns", "place"])
    place = table.schema.get_field_index("supporting")
    table = table.set_column(place, "supporting", pa.array([""]))
    run.write(FINDINGS, parquet_bytes(table))
    with pytest.raises(RunIncomplete, match=r"another version.*flowatlas audit"):
        read_findings(run)


def test_a_run_without_an_audit_says_what_to_do(tmp_path):
    with pytest.raises(RunIncomplete, match="flowatlas audit"):
        read_findings(synthetic_run(tmp_path, 16, 2))
