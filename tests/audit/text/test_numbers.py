import pytest

from pipeline.audit.text.numbers import figure, percent, rate


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (0, "0"),
        (0.31512, "0.315"),
        (12.34, "12.3"),
        (248, "248"),
        (12345, "12,345"),
        (0.0012, "0.0012"),
        (2.8e-17, "2.80·10⁻¹⁷"),
        (1.5e7, "1.50·10⁷"),
        (-2.5, "-2.5"),
    ],
)
def test_figures_have_three_digits(value, said):
    assert figure(value) == said


def test_rates_have_two_digits_and_powers_of_ten():
    assert [rate(q) for q in (0.0213, 0.001, 3e-17, 0)] == ["0.021", "0.001", "3.0·10⁻¹⁷", "0"]


def test_shares_are_percentages():
    said = [percent(share) for share in (0.25, 0.0183, 0.0002, 1)]
    assert said == ["25 %", "1.8 %", "0.02 %", "100 %"]
