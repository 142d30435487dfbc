"""Places: where in an image a shortcut can sit, so that it can be pasted and erased."""

from collections.abc import Mapping

CORNERS = ("tl", "tr", "bl", "br")

PLACES: Mapping[str, str] = {
    "tl": "top-left corner",
    "tr": "top-right corner",
    "bl": "bottom-left corner",
    "br": "bottom-right corner",
    "border": "border",
}
"""Place → its words."""

LIFT_COLUMNS: Mapping[str, str] = {
    **{corner: f"corner_{corner}_flow" for corner in CORNERS},
    "border": "border_flow",
}
"""Place → column of the summary with its lift."""

PLACE_OF: Mapping[str, str] = {column: place for place, column in LIFT_COLUMNS.items()}
"""The inverse of ``LIFT_COLUMNS``."""
