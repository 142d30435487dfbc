from pipeline.audit.text.names import short_names


def test_the_first_synonym_names_a_class_unless_two_would_share_it():
    names = ("laptop, laptop computer", "crane", "crane, lifting", "", ", odd", "a, b, c")
    assert short_names(names) == ("laptop", "crane", "crane, lifting", "", ", odd", "a")
