import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.audit.text.quoting import quote


@given(st.text(st.characters(codec=None)))
def test_no_character_of_a_name_is_obeyed(name):
    said = quote(name)
    assert said[0] + said[-1] == "“”"
    assert not any(unicodedata.category(c) in ("Cc", "Cs", "Zl", "Zp") for c in said)
    said.encode("utf-8")


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("traffic light", "“traffic light”"),
        ("Größe/猫", "“Größe/猫”"),
        ("क्\u200dष", "“क्\u200dष”"),
        ("\x1b[2Jgone", r"“\x1b[2Jgone”"),
        ("\x9b31m", r"“\x9b31m”"),
        ("two\nlines", r"“two\nlines”"),
        ("\u202etxt.exe", r"“\u202etxt.exe”"),
        ("undecodable\udcff", r"“undecodable\udcff”"),
    ],
)
def test_names_stay_as_they_are_unless_they_command(name, said):
    assert quote(name) == said
