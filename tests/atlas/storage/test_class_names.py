import pytest

from pipeline.atlas.storage.class_names import find_class
from pipeline.errors import ConfigError

NAMES = ("crane", "Owl", "crane")


def test_a_class_is_found_by_its_name_or_its_number():
    assert find_class("Owl", NAMES) == 1
    assert find_class(2, NAMES) == 2


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("crane", r"classes \[0, 2\] are all named 'crane'"),
        ("owl", r"no class 'owl'; the run has 3 classes; did you mean Owl\?"),
        ("zebra", r"no class 'zebra'; the run has 3 classes$"),
        (3, "no class 3"),
        (-1, "no class -1"),
    ],
)
def test_what_is_no_class_or_several_is_refused(name, message):
    with pytest.raises(ConfigError, match=message):
        find_class(name, NAMES)
