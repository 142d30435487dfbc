"""Separators are found, and an open quote is an error."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import DatasetError
from pipeline.files.dialect import refuse_open_quotes, separator_of


@pytest.mark.parametrize(
    ("name", "header", "separator"),
    [
        ("t.csv", "file,label", ","),
        ("t.csv", "file", ","),
        ("t.csv", "file;label", ";"),
        ("t.csv", "file\tlabel", "\t"),
        ("t.csv", '"a;b",label', ","),
        ("t.csv", "file,a;b", ","),
        ("t.csv", "a|b;c", ","),
        ("t.tsv", "file\tlabel", "\t"),
        ("t.tsv", "file,label", ","),
    ],
)
def test_the_header_says_what_separates(
    tmp_path: Path, name: str, header: str, separator: str
) -> None:
    (tmp_path / name).write_text(f"{header}\r\nx;y|z,1\n")
    assert separator_of(str(tmp_path / name)) == separator


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be"])
def test_other_encodings_are_named(tmp_path: Path, encoding: str) -> None:
    (tmp_path / "t.csv").write_bytes("\ufefffile,label\n".encode(encoding))
    with pytest.raises(DatasetError, match="is UTF-16; save it as UTF-8"):
        separator_of(str(tmp_path / "t.csv"))


def _check(folder: Path, text: str) -> None:
    (folder / "t.csv").write_text(text)
    refuse_open_quotes(str(folder / "t.csv"), ",")


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ('a,b\n1,"x\n2,y\n', 2),
        ('a,b\n1,"x\n2,y\n3,"z\n4,y\n', 2),
        ('a,b\n1,"x"\n"2,y\n', 3),
        ('a,b\n1,"ok\nok"\n2,"x\n3,y', 4),
        ('a,b\n1,"x\n' + "2,yyyyyyyyyyyyyyyy\n" * 20_000, 2),
    ],
)
def test_a_quote_that_swallows_rows_is_an_error(tmp_path: Path, text: str, line: int) -> None:
    with pytest.raises(DatasetError, match=rf"t\.csv, line {line}: a quote"):
        _check(tmp_path, text)


@pytest.mark.parametrize(
    "text", ['a,b\n1,5" nail\n', 'a,b\n1,"x ""y"" \n z"\n', 'a,b\n1,"x"y\n2,z\n', "a\nx"]
)
def test_quotes_that_lose_nothing_are_read(tmp_path: Path, text: str) -> None:
    _check(tmp_path, text)


@given(st.lists(st.text(st.sampled_from('ab,"\n é'), max_size=6), min_size=1, max_size=9))
def test_what_a_writer_quotes_is_never_refused(tmp_path_factory, values: list[str]) -> None:
    lines = ['"' + value.replace('"', '""') + '",x\n' for value in values]
    _check(tmp_path_factory.getbasetemp(), "a,b\n" + "".join(lines))
