"""The dialect of a CSV file: its separator, and whether every quote is closed."""

import codecs
import csv
import re
from collections.abc import Iterator
from typing import BinaryIO

from pipeline.errors import DatasetError
from pipeline.files.places import open_file

_SEPARATORS = (",", ";", "\t", "|")
_HEADER = 1 << 16
_BLOCK = 4 << 20
_QUOTED = re.compile(rb'"[^"]*"')
_OTHER_ENCODINGS = {
    codecs.BOM_UTF16_LE: "UTF-16",
    codecs.BOM_UTF16_BE: "UTF-16",
}


def separator_of(path: str) -> str:
    """Return the separator of the values: by the suffix, unless the header uses another one.

    That is a tab for ``.tsv`` and a comma for any other file, unless the header contains none of
    these and exactly one other of comma, semicolon, tab and bar.

    Raises
    ------
    DatasetError
        The text is UTF-16.
    OSError, obstore.exceptions.BaseError
        The file cannot be read.
    """
    with open_file(path) as file:
        start = file.read(_HEADER)
    if encoding := _OTHER_ENCODINGS.get(start[:2]):
        raise DatasetError(f"the table {path} is {encoding}; save it as UTF-8")
    header = _QUOTED.sub(b"", start.partition(b"\n")[0]).decode("utf-8", "replace")
    usual = "\t" if path.lower().endswith(".tsv") else ","
    found = [separator for separator in _SEPARATORS if separator in header]
    return found[0] if len(found) == 1 and usual not in found else usual


def refuse_open_quotes(path: str, separator: str) -> None:
    """Refuse a file in which an unclosed quote would merge the rows after it into one value.

    Arrow closes an open quote at the next quote or at the end of the file, and reads the rows in
    between as one text.

    Raises
    ------
    DatasetError
        A quote is opened and not closed before the end or before a stray quote of a later line.
    OSError, obstore.exceptions.BaseError
        The file cannot be read.
    """
    with open_file(path) as file:
        if not any(b'"' in block for block in _blocks(file)):
            return
    with open_file(path) as file:
        rows = csv.reader(_lines(file), delimiter=separator, strict=True)
        first = 1
        while True:
            try:
                next(rows)
            except StopIteration:
                return
            except UnicodeDecodeError:
                return  # Arrow reports it when it reads the rows
            except csv.Error as error:
                if rows.line_num > first or "end of data" in str(error):
                    raise DatasetError(
                        f'{path}, line {first}: a quote (") is opened but not closed, so the rows '
                        "after it would be read as one value; close it, or remove it"
                    ) from error
            first = rows.line_num + 1


def _blocks(file: BinaryIO) -> Iterator[bytes]:
    return iter(lambda: file.read(_BLOCK), b"")


def _lines(file: BinaryIO) -> Iterator[str]:
    decoder, rest = codecs.getincrementaldecoder("utf-8-sig")(), ""
    for block in _blocks(file):
        *lines, rest = (rest + decoder.decode(block)).split("\n")
        yield from (f"{line}\n" for line in lines)
    if rest:
        yield rest
