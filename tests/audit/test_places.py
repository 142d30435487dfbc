from pipeline.audit.causal.edits import place_mask
from pipeline.audit.places import CORNERS, LIFT_COLUMNS, PLACE_OF, PLACES
from pipeline.measures.regions import REGIONS


def test_every_place_has_words_a_column_that_is_measured_and_pixels():
    assert PLACES.keys() == LIFT_COLUMNS.keys() == {*CORNERS, "border"}
    for place, column in LIFT_COLUMNS.items():
        assert column.removesuffix("_flow") in REGIONS
        assert PLACE_OF[column] == place
        assert place_mask(place, (32, 32), (8, 8)).any()
