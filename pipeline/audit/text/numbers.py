"""How numbers are written, in sentences and in the report: the same everywhere."""

_DIGITS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def figure(value: float) -> str:
    """Return three significant digits: ``0.315``, ``12.3``, ``1,235``, ``2.80·10⁻¹⁷``."""
    return _plain(value, 3)


def rate(value: float) -> str:
    """Return a probability or a false discovery rate with two digits: ``0.021``, ``2.8·10⁻¹⁷``."""
    return _plain(value, 2)


def percent(share: float) -> str:
    """Return a share as a percentage: ``1.8 %``, ``25 %``, ``0.02 %``."""
    return f"{_plain(100 * share, 3 if share >= 0.1 else 2)} %"


def _plain(value: float, digits: int) -> str:
    if value == 0 or 1e-3 <= abs(value) < 1e5:
        return f"{value:.{digits}g}" if abs(value) < 10**digits else f"{value:,.0f}"
    mantissa, exponent = f"{value:.{digits - 1}e}".split("e")
    return f"{mantissa}·10{str(int(exponent)).translate(_DIGITS)}"
