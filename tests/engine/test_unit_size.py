from hypothesis import given
from hypothesis import strategies as st

from pipeline.engine.unit_size import MIN_UNIT_ROWS, bytes_per_image, choose_unit_rows


def test_unit_sizes_of_large_datasets() -> None:
    vit = bytes_per_image(12, (14, 14), "float16")
    assert vit == 4704
    assert bytes_per_image(12, (14, 14), "float16", flows=2, channels=192) == 2 * 4704 + 768
    assert choose_unit_rows(10**9, vit) == 16_384
    assert choose_unit_rows(1_281_167, vit) == 2_048
    assert choose_unit_rows(2_000, vit) == MIN_UNIT_ROWS
    assert choose_unit_rows(2_000, vit, batch=256) == 256
    assert choose_unit_rows(2_000, vit, batch=65) == 128
    assert choose_unit_rows(1_281_167, vit, batch=256) == 2_048


@given(st.integers(1, 10**9), st.integers(8, 2**26))
def test_units_are_powers_of_two_within_their_bounds(rows: int, image_bytes: int) -> None:
    unit_rows = choose_unit_rows(rows, image_bytes)
    assert unit_rows >= MIN_UNIT_ROWS
    assert unit_rows & (unit_rows - 1) == 0
    if unit_rows > MIN_UNIT_ROWS:
        assert unit_rows * image_bytes <= 128 * 2**20
        assert -(-rows // unit_rows) >= 512
