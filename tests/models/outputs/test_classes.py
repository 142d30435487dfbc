import json

import pytest

from pipeline.errors import ConfigError
from pipeline.models import class_names


def test_no_names_are_numbers():
    assert class_names(None, 3) == ("class 0", "class 1", "class 2")


def test_imagenet():
    names = class_names("imagenet-1k", 1000)
    assert len(names) == 1000
    assert names[0].startswith("tench")
    assert names[999].startswith("toilet tissue")


def test_imagenet_names_on_another_head_are_refused():
    with pytest.raises(ConfigError, match="names 1,000 classes but the model has 10 outputs"):
        class_names("imagenet-1k", 10)


def write(path, content):
    path.write_text(content if isinstance(content, str) else json.dumps(content), "utf-8")
    return str(path)


@pytest.mark.parametrize(
    ("file", "content", "wanted"),
    [
        ("names.json", ["cat", "Käfer"], ("cat", "Käfer")),
        ("names.json", {"1": "dog", "0": "cat"}, ("cat", "dog")),
        ("names.json", {"1": "dog"}, ("class 0", "dog")),
        ("names.txt", "cat\n dog \n\n", ("cat", "dog")),
    ],
)
def test_files(tmp_path, file, content, wanted):
    assert class_names(write(tmp_path / file, content), 2) == wanted


@pytest.mark.parametrize(
    ("file", "content", "sentence"),
    [
        ("names.json", ["cat"], "names 1 class but the model has 2"),
        ("names.json", {"2": "cow"}, "has the key '2'"),
        ("names.json", {"cat": 0}, "has the key 'cat'"),
        ("names.json", "{", "cannot read"),
        ("names.json", 3, "must hold a list"),
    ],
)
def test_files_that_do_not_fit(tmp_path, file, content, sentence):
    with pytest.raises(ConfigError, match=sentence):
        class_names(write(tmp_path / file, content), 2)


def test_a_missing_file(tmp_path):
    with pytest.raises(ConfigError, match="cannot read"):
        class_names(str(tmp_path / "none.txt"), 2)


def test_half_characters_become_question_marks(tmp_path):
    path = tmp_path / "names.json"
    path.write_text('["a\\ud800b", "c"]')
    assert class_names(str(path), 2) == ("a?b", "c")
    path.write_text('{"1": "\\udfff"}')
    assert class_names(str(path), 2) == ("class 0", "?")
