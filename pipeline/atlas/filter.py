"""``parse``: a filter on the summary's columns, in Python syntax.

``confidence > 0.9 and not correct``, ``split == "train"``, ``0.2 <= border_flow < 1``,
``label in (3, 7)``, ``reason is None``. Nothing is ever evaluated by Python: the syntax tree is
turned into an Arrow expression node by node, and what has no translation is an error.
"""

import ast
import difflib
import functools
import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from pipeline.errors import ConfigError
from pipeline.store import Run
from pipeline.store.layout import summary_schema

_COMPARE: Mapping[type[ast.cmpop], Callable[[Any, Any], Any]] = {
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
}
_ARITHMETIC: Mapping[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
}
_LONGEST = 10_000
_POSITION = "_position"


@dataclass(frozen=True)
class Where:
    """A filter: its text, the columns it needs, and the Arrow expression."""

    text: str
    columns: tuple[str, ...]
    expression: pc.Expression

    def chosen(self, part: pa.Table) -> NDArray[np.bool_]:
        """Return which rows pass, (n,); a row whose result is null does not."""
        place = part.select(list(self.columns)).append_column(
            _POSITION, pa.array(np.arange(len(part)))
        )
        passed = np.zeros(len(part), np.bool_)
        passed[place.filter(self.expression)[_POSITION].to_numpy()] = True
        return passed


def parse(text: str, schema: pa.Schema) -> Where:
    """Read a filter.

    Raises
    ------
    ConfigError
        It is not an expression, uses anything but comparisons of columns and constants, names
        an unknown column, or compares values that cannot be compared.
    """
    if len(text) > _LONGEST:
        raise ConfigError(f"the filter has {len(text):,} characters; {_LONGEST:,} are allowed")
    try:
        tree = ast.parse(text.strip(), mode="eval").body
        translation = _Translation(text, schema.names)
        expression = translation.condition(tree)
        where = Where(text.strip(), tuple(dict.fromkeys(translation.used)), expression)
        where.chosen(schema.empty_table())
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise ConfigError(f"{text!r} is not a valid filter: {error}; {_HINT}") from None
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, TypeError) as error:
        raise ConfigError(f"{text!r} compares values that cannot be compared: {error}") from None
    return where


def columns_of(run: Run) -> pa.Schema:
    """Return the columns a filter may name: those of the summary, then of the index."""
    schema = summary_schema(run.spec.columns, run.spec.multi_label)
    for field in run.index_rows(0, 0).schema:
        schema = schema if field.name in schema.names else schema.append(field)
    return schema


def near(name: str, names: Sequence[str]) -> str:
    """Return a hint: names similar to an unknown one, or else all names except those per layer."""
    close = difflib.get_close_matches(name, names, 3)
    if close:
        return f"did you mean {' or '.join(close)}?"
    return f"there are: {', '.join(other for other in names if '_l' not in other)}"


_HINT = "write for example: confidence > 0.9 and not correct"


class _Translation:
    """Translates Python's syntax tree to an Arrow expression; records the columns used."""

    def __init__(self, text: str, names: list[str]) -> None:
        self.text = text
        self.names = names
        self.used: list[str] = []

    def condition(self, node: ast.expr) -> pc.Expression:
        """Translate a condition."""
        if isinstance(node, ast.BoolOp):
            join = operator.and_ if isinstance(node.op, ast.And) else operator.or_
            return functools.reduce(join, [self.condition(value) for value in node.values])
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
            return ~self.condition(node.operand)
        if isinstance(node, ast.Compare):
            sides = [node.left, *node.comparators]
            links = zip(sides[:-1], node.ops, sides[1:], strict=True)
            return functools.reduce(operator.and_, [self._compare(*link) for link in links])
        if isinstance(node, ast.Name):
            return self._column(node.id)
        raise self._refused(node)

    def _compare(self, left: ast.expr, how: ast.cmpop, right: ast.expr) -> pc.Expression:
        if isinstance(how, ast.Is | ast.IsNot):
            if not (isinstance(right, ast.Constant) and right.value is None):
                raise self._refused(right)
            null = self._value(left).is_null(nan_is_null=True)
            return null if isinstance(how, ast.Is) else ~null
        if isinstance(how, ast.In | ast.NotIn):
            if not isinstance(right, ast.Tuple | ast.List | ast.Set):
                raise self._refused(right)
            value = self._value(left)
            found = value.isin([self._constant(item) for item in right.elts])
            return found if isinstance(how, ast.In) else ~found & value.is_valid()
        return _COMPARE[type(how)](self._value(left), self._value(right))

    def _value(self, node: ast.expr) -> pc.Expression:
        if isinstance(node, ast.Name):
            return self._column(node.id)
        if isinstance(node, ast.BinOp) and type(node.op) in _ARITHMETIC:
            return _ARITHMETIC[type(node.op)](self._value(node.left), self._value(node.right))
        value = self._constant(node)
        if isinstance(value, float):  # as in the columns, so that 0.1 equals a stored 0.1
            return pc.scalar(pa.scalar(value, pa.float32()))
        return pc.scalar(value)

    def _constant(self, node: ast.expr) -> bool | int | float | str:
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
            number = self._constant(node.operand)
            if not isinstance(number, str | bool):
                return -number
        if isinstance(node, ast.Constant) and isinstance(node.value, bool | int | float | str):
            return node.value
        raise self._refused(node)

    def _column(self, name: str) -> pc.Expression:
        if name not in self.names:
            hint = near(name, self.names)
            raise ConfigError(f"the filter {self.text!r} uses an unknown column: {name}; {hint}")
        self.used.append(name)
        return pc.field(name)

    def _refused(self, node: ast.expr) -> ConfigError:
        return ConfigError(
            f"the filter {self.text!r} may compare columns with constants and combine comparisons "
            f"with and, or, not; it may not contain {ast.unparse(node)!r}; {_HINT}"
        )
