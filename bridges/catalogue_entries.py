"""Entries of catalogues, from files and services alike, as annotations: cleaned of what cannot be, and bounded."""

import math
from collections.abc import Mapping
from typing import Any, Final

from schemas.annotations import Annotation, Answer

TEXT_CHARACTERS: Final = 200
"""So much of a text is passed on."""
ENTRIES: Final = "entries_within"
"""Value that tells how many entries lie within the radius."""
_MOST_MPC: Final = 1e5
"""Nothing is seen from farther away (redshift 10); catalogues write such numbers where they know none."""


def annotation_of(
    catalogue: str, separation_arcsec: float, entry: Mapping[str, Any], *, entries: int = 1
) -> Annotation:
    """An entry as an annotation.

    Parameters
    ----------
    entry
        By name of the attributes of `Annotation`, and ``values``; None, NaN and what is out of range are unknown.
    entries
        How many there are within the radius.
    """
    values = {str(name): text for name, value in entry.get("values", {}).items() if (text := _text(value))}
    return Annotation(
        catalogue,
        Answer.FOUND,
        name=_text(entry.get("name")),
        separation_arcsec=round(separation_arcsec, 3),
        kind=_text(entry.get("kind")),
        star_probability=_number(entry.get("star_probability"), 0.0, 1.0),
        redshift=_number(entry.get("redshift"), -0.1, 20.0),
        distance_mpc=(distance_mpc := _number(entry.get("distance_mpc"), 1e-9, _MOST_MPC)),
        distance_err_mpc=None if distance_mpc is None else _number(entry.get("distance_err_mpc"), 1e-9, _MOST_MPC),
        values=values | ({ENTRIES: str(entries)} if entries > 1 else {}),
    )


def nothing_near(catalogue: str) -> Annotation:
    """That a catalogue has no entry there."""
    return Annotation(catalogue, Answer.NONE)


def _text(value: Any) -> str:
    if value is None or (isinstance(value, float) and not math.isfinite(value)):
        return ""
    # A line is one line, and what a terminal or a log would take for a command is gone.
    printable = "".join(letter if letter.isprintable() else " " for letter in str(value)[: 4 * TEXT_CHARACTERS])
    return " ".join(printable.split())[:TEXT_CHARACTERS]


def _number(value: Any, least: float, most: float) -> float | None:
    if value is None:
        return None
    try:
        number = float(value)
    except (TypeError, ValueError):
        return None
    return number if least <= number <= most else None
