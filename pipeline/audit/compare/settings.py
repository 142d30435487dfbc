"""The settings of two runs side by side: they may explain differences that the images do not."""

import json
from typing import Any

import pyarrow as pa

from pipeline.atlas import Atlas
from pipeline.audit.text.quoting import quote
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
    own, others = _settings_of(one, atlas), _settings_of(other, other_atlas)
    rows = [{"setting": key, "value": own[key], "other": others[key]} for key in own]
    return pa.Table.from_pylist(rows, schema=SETTINGS_SCHEMA)


def run_names(settings: pa.Table) -> tuple[str, str]:
    """Return what the two sides are called: their folders, or what tells them apart besides."""
    rows = {row["setting"]: row for row in settings.to_pylist()}
    sides = []
    for key in ("value", "other"):
        parts = [part for part in rows[RUN][key].rstrip("/").split("/") if part]
        sides.append((parts, rows[ATLAS][key] if ATLAS in rows else ""))
    (own, atlas), (others, other_atlas) = sides
    if own == others:
        return f"atlas {atlas or 'all'}", f"atlas {other_atlas or 'all'}"
    depth = next(n for n in range(1, len(own) + len(others) + 1) if own[-n:] != others[-n:])
    names = ["/".join(own[-depth:]), "/".join(others[-depth:])]
    if atlas or other_atlas:
        names = [
            f"{name}, {of or 'all'}" for name, of in zip(names, (atlas, other_atlas), strict=True)
        ]
    return names[0], names[1]


def comparable(settings: pa.Table) -> bool:
    """Return whether the maps of both are of one method, so that they mean the same."""
    return not any(row["setting"] == METHOD for row in differing(settings))


def differing(settings: pa.Table) -> list[dict[str, str]]:
    """Return the settings that differ, except where the runs and atlases are stored."""
    return [
        row
        for row in settings.to_pylist()
        if row["value"] != row["other"] and row["setting"] not in (RUN, ATLAS)
    ]


def settings_sentence(settings: pa.Table) -> str:
    """Return what the settings differ in; maps of two methods are not comparable."""
    rows = differing(settings)
    if not rows:
        return "Both runs used the same settings."
    sides = run_names(settings)
    sentence = f"The settings differ: {', '.join(_change(row, sides) for row in rows)}."
    if any(row["setting"] == METHOD for row in rows):
        sentence += (
            " Maps of two methods do not mean the same, so classes are compared in everything but "
            "their maps."
        )
    return sentence


def _change(row: dict[str, str], names: tuple[str, str]) -> str:
    name = f"{row['setting'][0].lower()}{row['setting'][1:]}"
    if max(len(row["value"]), len(row["other"])) > _LONGEST:
        return name
    own, other = (
        f"{row[key] or 'none'} in {quote(side)}"
        for key, side in zip(("value", "other"), names, strict=True)
    )
    return f"{name} ({own}, {other})"


_LONGEST = 48


def _settings_of(run: Run, atlas: Atlas) -> dict[str, str]:
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
