"""An object that is read by ranges reads like a file."""

import io

import obstore
from hypothesis import given
from hypothesis import strategies as st
from obstore.store import MemoryStore

from pipeline.files.ranged_file import RangedFile


@given(st.binary(max_size=300), st.lists(st.tuples(st.integers(0, 400), st.integers(0, 200))))
def test_a_ranged_file_reads_like_a_file(content: bytes, reads: list[tuple[int, int]]) -> None:
    store = MemoryStore()
    obstore.put(store, "x", content)
    file, wanted = RangedFile(store, "x"), io.BytesIO(content)
    for position, size in reads:
        assert file.seek(position) == wanted.seek(position)
        assert file.read(size) == wanted.read(size)
        assert file.tell() == wanted.tell()
    assert file.seek(0, io.SEEK_END) == len(content)
    file.seek(0)
    assert file.read() == content
