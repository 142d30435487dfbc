"""Archives are listed by their headers."""

import io
import os
import tarfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import DatasetError
from pipeline.images.sources.leftovers import Leftover, Leftovers
from pipeline.images.sources.tar import Member, Windowed, tar_members
from tests.images.archives import tar_of


class Counted(io.BytesIO):
    """Counts what is read of it."""

    taken = 0

    def read(self, size: int | None = -1) -> bytes:
        content = super().read(size)
        self.taken += len(content)
        return content


def members(content: bytes) -> list[Member]:
    return listed(content)[0]


def listed(content: bytes) -> tuple[list[Member], tuple[Leftover, ...]]:
    left, file = Leftovers(), Windowed(io.BytesIO(content), len(content))
    return list(tar_members(file, len(content), "x.tar", left)), left.found


def archive(path: Path, *sizes: int) -> bytes:
    named = [(f"{n}.jpg", bytes([n % 256]) * size) for n, size in enumerate(sizes)]
    return tar_of(path, named).read_bytes()


@given(st.lists(st.integers(0, 3000), max_size=12), st.sampled_from([0, 1, 2]))
def test_places_are_where_the_bytes_are(tmp_path_factory, sizes: list[int], kind: int) -> None:
    path = tmp_path_factory.getbasetemp() / "a.tar"
    named = [(f"{'d' * 120}/{n}ü.jpg", bytes([n]) * size) for n, size in enumerate(sizes)]
    content = tar_of(path, named, format=kind).read_bytes() if kind else archive(path, *sizes)
    found = members(content)
    assert [m.length for m in found] == sizes
    for number, member in enumerate(found):
        assert (
            content[member.offset : member.offset + member.length]
            == bytes([number]) * sizes[number]
        )


def test_large_bodies_are_not_read(tmp_path: Path) -> None:
    content = archive(tmp_path / "a.tar", *[200_000] * 20)
    file = Counted(content)
    assert (
        len(list(tar_members(Windowed(file, len(content)), len(content), "a", Leftovers()))) == 20
    )
    assert file.taken < 0.06 * len(content)


@pytest.mark.parametrize("cut", [100, 700, 1024, 1536, 2_600, 4_000])
def test_a_cut_archive_is_named(tmp_path: Path, cut: int) -> None:
    content = archive(tmp_path / "a.tar", 900, 900, 900)
    with pytest.raises(DatasetError, match=r"x\.tar is .*copy it again"):
        members(content[:cut])


@given(st.integers(0, 5 * 1536), st.binary(min_size=1, max_size=40))
def test_a_damaged_archive_ends(tmp_path_factory, place: int, noise: bytes) -> None:
    """Whatever a header says, the listing ends, with members inside the file or with an error."""
    path = tmp_path_factory.getbasetemp() / "d.tar"
    content = bytearray(archive(path, 900, 900, 900))
    content[place : place + len(noise)] = noise
    try:
        found = members(bytes(content))
    except DatasetError:
        return
    assert all(m.offset + m.length <= len(content) and m.length >= 0 for m in found)


def test_a_header_that_leads_backwards_is_an_error(tmp_path: Path) -> None:
    content = bytearray(archive(tmp_path / "a.tar", 900, 900))
    size = b"\xff" + (-1536 & (1 << 88) - 1).to_bytes(11, "big")
    header = content[1536:2048]
    header[124:136] = size
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    content[1536:2048] = header
    with pytest.raises(DatasetError, match=r"x\.tar"):
        members(bytes(content))


def test_compressed_archives_are_refused(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "a.tar", "w:gz") as file:
        file.addfile(tarfile.TarInfo("a.jpg"))
    with pytest.raises(DatasetError, match="unpacked"):
        members((tmp_path / "a.tar").read_bytes())


@pytest.mark.parametrize("padding", [0, 512, 10_240])
def test_an_archive_after_the_end_marker_is_an_error(tmp_path: Path, padding: int) -> None:
    first = archive(tmp_path / "a.tar", 900)
    joined = first + bytes(padding) + archive(tmp_path / "b.tar", 900)
    place = len(first) + padding
    with pytest.raises(DatasetError, match=rf"x\.tar continues .*at byte {place:,}; .*concatenate"):
        members(joined)
    assert len(members(first + bytes(padding))) == 1


def test_other_bytes_behind_the_end_mark_are_left_over(tmp_path: Path) -> None:
    found, left = listed(archive(tmp_path / "a.tar", 900) + b"signature" * 100)
    assert len(found) == 1
    assert left == (Leftover("archives with bytes behind their end mark", 1, ("x.tar",)),)


def test_hard_links_are_the_files_they_link_to(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in/0.jpg").write_bytes(b"picture")
    for number in (1, 2):
        os.link(tmp_path / f"in/{number - 1}.jpg", tmp_path / f"in/{number}.jpg")
    with tarfile.open(tmp_path / "a.tar", "w") as file:
        file.add(tmp_path / "in", "./in")
        info = tarfile.TarInfo("in/3.jpg")
        info.type, info.linkname = tarfile.LNKTYPE, "elsewhere.jpg"
        file.addfile(info)
    content = (tmp_path / "a.tar").read_bytes()
    found, left = listed(content)
    assert sorted(Path(m.name).name for m in found) == ["0.jpg", "1.jpg", "2.jpg"]
    assert {content[m.offset : m.offset + m.length] for m in found} == {b"picture"}
    what = "hard links in archives to what is not there"
    assert left == (Leftover(what, 1, ("x.tar#in/3.jpg",)),)


def test_only_regular_files_count(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "a.tar", "w") as file:
        for kind in (tarfile.DIRTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE):
            info = tarfile.TarInfo("x.jpg")
            info.type, info.linkname = kind, "/etc/passwd"
            file.addfile(info)
    found, left = listed((tmp_path / "a.tar").read_bytes())
    assert found == []
    assert [(one.what.partition(" in")[0], one.count) for one in left] == [
        ("symbolic links", 1),
        ("hard links", 1),
        ("devices", 1),
    ]
