"""Settings: what two runs were told, side by side, for differences that are none of the images."""

import json
from typing import Any

import pyarrow as pa

from pipeline.atlas import Atlas
from pipeline.files.urls import shown
from pipeline.store import Run

SETTINGS_SCHEMA = pa.schema(
    [
        pa.field("setting", pa.string(), nullable=False),
        pa.field("value", pa.string(), nullable=False),
        pa.field("other", pa.string(), nullable=False),
    ]
)
"""``value`` is that of the first run, ``other`` that of the other; empty where there is none."""

METHOD, RUN, ATLAS = "Method", "Run", "Atlas"


def compare_settings(one: Run, other: Run, atlas: Atlas, other_atlas: Atlas) -> pa.Table:
    """Return the settings of two runs as ``SETTINGS_SCHEMA``, URIs without keys and passwords."""
    told, other_told = _told(one, atlas), _told(other, other_atlas)
    rows = [{"setting": key, "value": told[key], "other": other_told[key]} for key in told]
    return pa.Table.from_pylist(rows, schema=SETTINGS_SCHEMA)


def differing(settings: pa.Table) -> list[dict[str, str]]:
    """Return the settings that are not the same in both runs; where they are is none of them."""
    return [
        row
        for row in settings.to_pylist()
        if row["value"] != row["other"] and row["setting"] not in (RUN, ATLAS)
    ]


def settings_sentence(settings: pa.Table) -> str:
    """Say what the runs differ in, and that maps of two methods are not of one kind."""
    rows = differing(settings)
    if not rows:
        return "The two were told the same."
    names = ", ".join(_change(row) for row in rows)
    said = f"The settings differ: {names}."
    if any(row["setting"] == METHOD for row in rows):
        said += (
            " The methods differ, so that the maps are not comparable as such: what is found may "
            "be the methods' doing."
        )
    return said


def _change(row: dict[str, str]) -> str:
    name = f"{row['setting'][0].lower()}{row['setting'][1:]}"
    if max(len(row["value"]), len(row["other"])) > _LONGEST:
        return name
    return f"{name} ({row['value'] or 'none'}; {row['other'] or 'none'} in the other)"


_LONGEST = 48


def _told(run: Run, atlas: Atlas) -> dict[str, str]:
    config, spec = run.config, run.spec
    height, width = spec.input["size"]
    return {
        RUN: shown(run.uri),
        ATLAS: atlas.facts["name"] or "",
        "Images of the atlas": f"{int(atlas.count.sum())}",
        "Filter": atlas.facts["where"] or "",
        "Maps explain": atlas.facts["target"],
        "Dataset": shown(config.dataset.source),
        "Dataset fingerprint": spec.fingerprint,
        "Images": f"{spec.rows}",
        "Model": config.model.name,
        "Model's options": _options(config.model.options),
        "Weights": shown(config.model.weights),
        "Weights (SHA-256)": spec.weights_sha256,
        "Transform": config.model.transform or "",
        "Transform's options": _options(config.model.transform_options),
        METHOD: config.flow.method,
        "Method's options": _options(config.flow.options),
        "Target": str(config.flow.target),
        "Embedding": config.flow.embedding,
        "References": shown(config.flow.references.run) if config.flow.references else "",
        "Input": f"{height} × {width} pixels",
        "Preprocessing": _options({key: v for key, v in spec.input.items() if key != "size"}),
        "Layers": f"{len(spec.layers)}",
        "Grid": f"{spec.grid[0]} × {spec.grid[1]} cells",
    }


def _options(options: dict[str, Any]) -> str:
    """Write options as JSON; a URL among them without its keys and passwords."""
    return json.dumps(_plain(options), sort_keys=True, ensure_ascii=False) if options else ""


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return shown(value) if isinstance(value, str) else value
