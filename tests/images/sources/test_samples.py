"""Members of an archive become samples: an image, and what says its label."""

import io
import json

import pytest

from pipeline.errors import DatasetError
from pipeline.images.sources.exclusion import Exclusion
from pipeline.images.sources.leftovers import Leftovers
from pipeline.images.sources.samples import Choice, archive_samples
from pipeline.images.sources.tar import Windowed
from tests.images.archives import tar_of


@pytest.fixture
def read(tmp_path):
    def samples(members, **choice):
        """Return (member, label) of every image, and (what, names) of what is left over."""
        named = [(name, value if isinstance(value, bytes) else b"x") for name, value in members]
        content = tar_of(tmp_path / "a.tar", named).read_bytes()
        left = Leftovers()
        file = Windowed(io.BytesIO(content), len(content))
        found = archive_samples(file, len(content), "a.tar", Choice(**choice), left)
        return [(member.name, label) for member, label in found], {
            one.what: (one.count, one.names) for one in left.found
        }

    return samples


@pytest.mark.parametrize("kind", ["cls", "label", "class", "index", "CLS"])
def test_text_members_hold_labels(read, kind: str) -> None:
    assert read([("x.jpg", 0), (f"x.{kind}", b"3\n")]) == ([("x.jpg", "3")], {})


def test_a_json_member_without_a_label_is_left_over(read) -> None:
    found, left = read([("x.jpg", 0), ("x.json", b'{"caption": 1}'), ("x.txt", 0)])
    assert found == [("x.jpg", None)]
    what = "members that are neither images nor labels"
    assert left == {what: (2, ("a.tar#x.json", "a.tar#x.txt"))}


def test_the_configuration_may_name_the_field_or_the_member(read) -> None:
    fields = json.dumps({"label": 1, "species": 2}).encode()
    assert read([("x.jpg", 0), ("x.json", fields)], label="species")[0] == [("x.jpg", 2)]
    members = [("x.jpg", 0), ("x.cls", b"1"), ("x.kind", b"2")]
    assert read(members, label="kind")[0] == [("x.jpg", "2")]


def test_labels_may_come_after_all_images(read) -> None:
    members = [("1.jpg", 0), ("2.jpg", 0), ("1.cls", b"1"), ("2.cls", b"2"), ("3.cls", b"3")]
    found, left = read(members)
    assert found == [("1.jpg", "1"), ("2.jpg", "2")]
    assert left == {"labels in archives without an image": (1, ("a.tar#3.cls",))}


def test_labels_in_another_folder_are_left_over(read) -> None:
    found, left = read([("images/1.jpg", 0), ("labels/1.cls", b"1")])
    assert found == [("images/1.jpg", None)]
    assert list(left) == ["labels in archives without an image"]


def test_a_name_with_dots_keeps_its_own_label(read) -> None:
    members = [("I.1.jpg", 0), ("I.1.cls", b"1"), ("I.2.jpg", 0), ("I.2.cls", b"2")]
    assert read(members) == ([("I.1.jpg", "1"), ("I.2.jpg", "2")], {})


@pytest.mark.parametrize(
    "names", [["x.jpg", "x.png"], ["x.image.png", "x.mask.png"], ["x.v1.jpg", "x.v2.png"]]
)
def test_several_images_are_a_choice(read, names: list[str]) -> None:
    members = [(name, 0) for name in names]
    with pytest.raises(DatasetError, match=r"a\.tar: the sample 'x' .*dataset\.image_column: "):
        read(members)
    kind = names[1].partition(".")[2]
    found, left = read(members, image=kind)
    assert found == [(names[1], None)]
    assert left == {"other images of the same sample": (1, (f"a.tar#{names[0]}",))}


def test_views_of_one_sample_are_all_read(read) -> None:
    assert [name for name, _ in read([("x.v1.jpg", 0), ("x.v2.jpg", 0)])[0]] == [
        "x.v1.jpg",
        "x.v2.jpg",
    ]


def test_a_mask_beside_its_image_is_left_over(read) -> None:
    found, left = read([("x.jpg", 0), ("x.mask.png", 0)])
    assert found == [("x.jpg", None)]
    assert left == {"other images of the same sample": (1, ("a.tar#x.mask.png",))}


def test_an_image_of_another_kind_than_chosen_is_left_over(read) -> None:
    found, left = read([("x.jpg", 0), ("y.png", 0)], image="jpg")
    assert found == [("x.jpg", None)]
    assert list(left.values()) == [(1, ("a.tar#y.png",))]


@pytest.mark.parametrize("order", [1, -1])
def test_a_mask_with_a_name_of_its_own_is_refused_until_the_user_chooses(read, order: int) -> None:
    members = [("a/x.jpg", 0), ("a/x.cls", b"1"), ("a/x_mask.png", 0), ("b/y_mask.png", 0)][::order]
    with pytest.raises(DatasetError, match=r"'a.tar#a/x_mask.png' is a mask of 'a.tar#a/x.jpg'"):
        read(members)
    found, left = read(members, exclusion=Exclusion(("*/x_mask.png",)))
    assert sorted(found, key=str) == [("a/x.jpg", "1"), ("b/y_mask.png", None)]
    assert left == {"left out by dataset.exclude": (1, ("a.tar#a/x_mask.png",))}
    assert len(read(members, exclusion=Exclusion(()))[0]) == 3
