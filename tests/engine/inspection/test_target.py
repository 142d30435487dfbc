import pytest

from pipeline.engine.inspection.target import explained_class
from pipeline.errors import ConfigError

CLASSES = ("cat", "dog", "dog")


def test_a_name_shared_by_two_classes_needs_an_index() -> None:
    assert explained_class("cat", CLASSES) == 0
    assert explained_class(2, CLASSES) == 2
    with pytest.raises(ConfigError, match="classes 1, 2 are all called 'dog'"):
        explained_class("dog", CLASSES)
