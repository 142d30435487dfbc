from pipeline.audit.finding import Finding


def test_only_defined_numbers_are_shown_and_rows_keep_the_order_of_the_evidence():
    finding = Finding(
        *("rare", 1, "corner_tl_flow_share", 0.02, 600, "high", "So it is."),
        q=0.001,
        z=float("nan"),
        evidence=((9, 3.0), (2, 2.5)),
    )
    assert finding.numbers == (("value", 0.02), ("q", 0.001), ("images", 600.0))
    assert finding.rows == (9, 2)
