import json

from pipeline.report.pages.lightbox import MEASURES, row_details


def test_measures_of_findings_come_first_then_those_outside(run):
    from pipeline.report.contents import gather

    volume = gather(run)
    for number, row in volume.rows.items():
        details = volume.details[number]
        assert json.loads(json.dumps(details, allow_nan=False)) == details
        assert details == row_details(
            row,
            volume.pictures[number],
            volume.captions[number],
            volume.neighbours[number],
            volume.paged,
        )
        assert details["class"] == (row.class_id if row.class_id in volume.paged else None)
        known = {item.column: item for item in row.measures}
        listed = [known[entry[0]] for entry in details["measures"]]
        assert len(listed) == min(MEASURES, len(known))
        keys = [(not item.named_by, not item.side) for item in listed]
        assert keys == sorted(keys)
