"""Files and folders are named after splits."""

import pytest

from pipeline.errors import ConfigError
from pipeline.images.sources.splits import folder_split, refuse_several_configs, split_of


@pytest.mark.parametrize(
    ("uri", "split"),
    [
        ("train-00000-of-00004.parquet", "train"),
        ("data/VAL.tar", "val"),
        ("default/train/0000.parquet", "train"),
        ("en/partial-train/0000.parquet", "train"),
        ("train/val-0.tar", "val"),
        ("training_set/0.tar", "training_set"),
        ("val2017/0.tar", "val2017"),
        ("trainer/0.tar", None),
        ("trainer-0.tar", None),
        ("0.tar", None),
    ],
)
def test_the_name_says_more_than_the_folder(uri: str, split: str | None) -> None:
    assert split_of(uri) == split


def test_folders_in_any_case() -> None:
    assert folder_split("Validation") == "validation"
    assert folder_split("cat") is None


@pytest.mark.parametrize("name", ["val2017", "train_images", "test-set", "train_1", "TestData"])
def test_folders_with_a_year_a_number_or_a_noun(name: str) -> None:
    assert folder_split(name) == name.lower()


@pytest.mark.parametrize("name", ["trainer", "testbed", "train station", "valley", "devil", "2017"])
def test_words_that_begin_like_a_split_are_none(name: str) -> None:
    assert folder_split(name) is None


@pytest.mark.parametrize(
    "uris",
    [
        ["default/train/0.parquet", "default/test/0.parquet"],
        ["train/0.parquet", "test/0.parquet"],
        ["data/train-0.parquet", "data/test-0.parquet"],
        ["train-0.parquet", "extra/0.parquet"],
        ["a/0.parquet", "b/0.parquet"],
    ],
)
def test_one_configuration_is_read(uris: list[str]) -> None:
    refuse_several_configs("/d", uris)


@pytest.mark.parametrize("names", ["{}/train/0.parquet", "{}/train-00000-of-00001.parquet"])
def test_several_configurations_are_a_choice(names: str) -> None:
    with pytest.raises(ConfigError, match=r"2 configurations \(de, en\).*dataset.source: /d/de"):
        refuse_several_configs("/d/", [names.format(config) for config in ("en", "de")])
