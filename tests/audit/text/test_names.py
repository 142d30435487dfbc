from pipeline.audit.text.names import short_names, shortened


def test_the_first_synonym_names_a_class_unless_two_would_share_it():
    names = ("laptop, laptop computer", "crane", "crane, lifting", "", ", odd", "a, b, c")
    assert short_names(names) == ("laptop", "crane", "crane, lifting", "", ", odd", "a")


def test_sentences_quote_short_names():
    names = ("laptop, laptop computer", "crane", "crane, lifting", "a\tb, key")
    said = "24 of “laptop, laptop computer” are “crane, lifting”, “odd, one” or “a\\tb, key”."
    short = "24 of “laptop” are “crane, lifting”, “odd, one” or “a\\tb”."
    assert shortened([said, "None."], names) == [short, "None."]
