"""Which column of a table or a Parquet file, or field of a JSON member, is the label."""

import json
from collections.abc import Sequence

import pyarrow as pa

from pipeline.errors import ConfigError, DatasetError
from pipeline.files.tabular import find_column
from pipeline.images.label_sets import holds_labels

LABEL_COLUMNS = (
    "label", "labels", "fine_label", "cls", "class", "class_id", "class_index", "target",
)  # fmt: skip
"""Usual names, case-insensitive; the first one found is used."""

_IMAGE_COLUMNS = ("image", "img", "jpg", "jpeg", "png", "webp", "picture", "photo", "bytes")

NO_LABELS = (
    "an image must have a class index or name, or a list of these; give it such a column, "
    "or name another one with dataset.label_column"
)


def find_label(names: Sequence[str], nested: Sequence[str], wanted: str | None) -> str | None:
    """Return which of ``names`` is the label: ``wanted``, else a usual one, preferably not a list.

    ``nested`` are those of ``names`` that hold lists or records.
    """
    if wanted is not None:
        return find_column(names, wanted)
    plain = [name for name in names if name not in nested]
    return find_column(plain, *LABEL_COLUMNS) or find_column(names, *LABEL_COLUMNS)


def label_column(schema: pa.Schema, wanted: str | None, file: str) -> str | None:
    """Return the column of the labels as the file spells it, or None if it has none.

    Raises
    ------
    ConfigError
        ``wanted`` (``dataset.label_column``) is not one of the columns.
    DatasetError
        It holds records, or lists of them.
    """
    kinds = {field.name: _values(field.type) for field in schema}
    column = find_label(schema.names, [n for n in kinds if pa.types.is_nested(kinds[n])], wanted)
    if column is None:
        return named_column(schema, wanted, file)
    if not holds_labels(kinds[column]):
        raise DatasetError(f"{file}: column {column} holds {kinds[column]}: {NO_LABELS}")
    return column


def chosen_image_column(schema: pa.Schema, wanted: str | None, file: str) -> str:
    """Return the image column of a Parquet file: ``wanted``, else the one that holds images.

    Raises
    ------
    ConfigError
        There is none, or it cannot hold encoded images; the message lists the columns that can.
    """
    column = named_column(schema, wanted, file)
    if column is None:
        return image_column(schema) or _absent(schema, file)
    if not holds_images(schema.field(column).type):
        raise ConfigError(
            f"{file}: column {column} holds {schema.field(column).type}, not the bytes of images; "
            f"{_offer(schema)}"
        )
    return column


def image_column(schema: pa.Schema) -> str | None:
    """Return the column that holds images: a struct with bytes, or plain bytes of a usual name."""
    held = [name for name in schema.names if holds_images(schema.field(name).type)]
    structs = [name for name in held if pa.types.is_struct(schema.field(name).type)]
    usual = [name for name in _IMAGE_COLUMNS if name in structs]
    plain = [name for name in _IMAGE_COLUMNS if name in held]
    return next(iter([*usual, *structs, *plain]), None)


def holds_images(kind: pa.DataType) -> bool:
    """Return whether a column of this type may hold encoded images: bytes, or a struct of them."""
    if pa.types.is_struct(kind):
        return kind.get_field_index("bytes") >= 0 and _binary(kind.field("bytes").type)
    return _binary(kind)


def _binary(kind: pa.DataType) -> bool:
    return bool(pa.types.is_binary(kind) or pa.types.is_large_binary(kind))


def _offer(schema: pa.Schema) -> str:
    """Return a clause that lists the columns to choose from."""
    held = [field.name for field in schema if holds_images(field.type)]
    if held:
        return f"name the one with the images: dataset.image_column: {' or '.join(held)}"
    lists = [
        field.name
        for field in schema
        if pa.types.is_list(field.type) and holds_images(field.type.value_type)
    ]
    if lists:
        return f"column {lists[0]} holds lists of images: write one image per row"
    return (
        "store the encoded images (JPEG, PNG, …) as a column of bytes, or name their files in a "
        "column uri"
    )


def _absent(schema: pa.Schema, file: str) -> str:
    kinds = ", ".join(f"{field.name} ({field.type})"[:120] for field in list(schema)[:8])
    raise ConfigError(f"{file} has no column known to hold images: {kinds}; {_offer(schema)}")


def named_column(schema: pa.Schema, wanted: str | None, file: str) -> str | None:
    """Return the column that the configuration names, as the file spells it; None if it does not.

    Raises
    ------
    ConfigError
        There is no such column.
    """
    if wanted is None:
        return None
    found = find_column(schema.names, wanted)
    if found is None:
        raise ConfigError(f"{file} has no column {wanted!r}: {schema.names}")
    return found


def class_label(schema: pa.Schema, column: str | None) -> tuple[str, ...]:
    """Return the names that Hugging Face's metadata give a label column, as text."""
    try:
        content = json.loads((schema.metadata or {})[b"huggingface"])
        feature = content["info"]["features"][column]
        inner = feature[0] if isinstance(feature, list) else feature.get("feature", feature)
        names = inner["names"]
    except (KeyError, ValueError, TypeError, IndexError, AttributeError, RecursionError):
        return ()
    if not isinstance(names, list):
        return ()
    return tuple(str(name).encode("utf-8", "replace").decode() for name in names)


def flag_columns(names: Sequence[str], wanted: Sequence[str], file: str) -> tuple[str, ...]:
    """Return the 0/1 columns that the configuration names, as the file spells them.

    Raises
    ------
    ConfigError
        Some are missing.
    """
    found = {name: find_column(names, name) for name in wanted}
    if missing := [name for name, column in found.items() if column is None]:
        raise ConfigError(
            f"dataset.label_columns: {file} has no column {', '.join(map(repr, missing[:5]))}: "
            f"{list(names)[:20]}"
        )
    return tuple(column for column in found.values() if column is not None)


def unused(
    names: Sequence[str], used: Sequence[str | None], label: str | None
) -> tuple[str, list[str]]:
    """Return a description of the columns that are not used, and their names."""
    what = "columns" if label else "columns (if one is the label, name it: dataset.label_column)"
    return what, [name for name in names if name not in used]


def _values(kind: pa.DataType) -> pa.DataType:
    return kind.value_type if pa.types.is_dictionary(kind) else kind
