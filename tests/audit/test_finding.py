from pipeline.audit.finding import (
    EVIDENCE_SCHEMA,
    FINDINGS_SCHEMA,
    SHOWN,
    Entry,
    evidence_table,
    findings_table,
)


def test_a_finding_keeps_what_it_is_made_of():
    entry = Entry(
        kind="rare",
        number=1,
        statistic="corner_tl_flow_share",
        value=0.02,
        images=600,
        severity="high",
        sentence="So it is.",
        q=0.001,
        supporting=("a", "b"),
    )
    (row,) = findings_table([entry], ("cat", "dog")).to_pylist()
    assert (row["finding"], row["class"], row["class_name"]) == (0, 1, "dog")
    assert (row["value"], row["q"], row["control"], row["layer"]) == (0.02, 0.001, None, None)
    assert row["supporting"] == "a, b"


def test_a_finding_of_the_whole_run_has_no_class():
    entry = Entry("fault", None, "phash", 3, 6, "medium", "Three pairs.")
    (row,) = findings_table([entry], ("cat",)).to_pylist()
    assert (row["class"], row["class_name"], row["q"]) == (None, None, None)


def test_evidence_keeps_its_order_and_its_limit():
    many = tuple((row, float(-row)) for row in range(100, 100 + 2 * SHOWN))
    plain = Entry("fault", None, "x", 1, 1, "medium", ".")
    found = evidence_table(
        [plain, Entry("fault", None, "x", 1, 1, "medium", ".", evidence=many)]
    ).to_pandas()
    assert found["finding"].unique().tolist() == [1]
    assert found["row"].tolist() == [row for row, _ in many[:SHOWN]]
    assert found["rank"].tolist() == list(range(SHOWN))


def test_nothing_found_is_an_empty_table():
    assert findings_table([], ()).equals(FINDINGS_SCHEMA.empty_table())
    assert evidence_table([]).equals(EVIDENCE_SCHEMA.empty_table())
