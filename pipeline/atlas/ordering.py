"""``order_of``: a request for an atlas, checked, with its groups read from the run."""

import operator
from collections.abc import Sequence
from dataclasses import replace
from functools import partial

import pyarrow as pa

from pipeline.atlas import tasks
from pipeline.atlas.filter import columns_of, near, parse
from pipeline.atlas.fold import fold
from pipeline.atlas.request import Order
from pipeline.atlas.statistics.membership import TABLES, Tables
from pipeline.atlas.storage.layout import POOLED
from pipeline.errors import ConfigError
from pipeline.nouns import counted
from pipeline.store import Run, Unit


def order_of(
    run: Run,
    folder: str,
    names: Sequence[str],
    where: str | None,
    by: str | None,
    per: str | None,
    done: Sequence[Unit],
    workers: int | None,
) -> Order:
    """Return the order for the tables ``names``, or for the groups of the column ``by``.

    Raises
    ------
    ConfigError
        The filter is not valid, the column is unknown or makes no groups, or too many.
    """
    schema = columns_of(run)
    tables = Tables(tuple(table for table in TABLES if table in names), run.spec.classes)
    place = run.place
    parsed = parse(where, schema) if where is not None else None
    order = Order(place, f"{folder}/{POOLED}", tables, parsed)
    if by is None:
        return order
    if by not in schema.names:
        raise ConfigError(f"there is no column {by!r} to group by; {near(by, schema.names)}")
    if pa.types.is_nested(schema.field(by).type):
        raise ConfigError(f"{by} is a list; group by label, target or another single value")
    if pa.types.is_floating(schema.field(by).type):
        raise ConfigError(
            f"{by} is a measure, and nearly every image would be its own group; choose a "
            f'range of it instead, e.g. with --where "{by} > 0.5"'
        )
    leaf = partial(tasks.values_of, order, by)
    values = fold(done, [(leaf, 1)], operator.or_, workers)
    if not values:
        raise ConfigError(f"column {by} has no values to group by")
    grouped = Tables((by,), run.spec.classes, by, tuple(sorted(values)), per)
    if grouped.cells > tasks.MOST_VALUES:
        raise ConfigError(
            f"{counted(len(values), 'value')} of {by} times "
            f"{counted(len(run.spec.classes), 'class')} are more than "
            f"{counted(tasks.MOST_VALUES, 'group')}; leave out per, or select images with where"
        )
    return replace(order, tables=grouped)
