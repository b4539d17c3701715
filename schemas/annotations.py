"""What others know at the position of an object: a catalogue's nearest entry, or that there is none."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum


class Answer(StrEnum):
    """What became of the question to a catalogue or service."""

    FOUND = "found"
    NONE = "none"
    PENDING = "pending"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Target:
    """An object about which catalogues and services are asked.

    Attributes
    ----------
    survey, object_id
        As in `schemas.records.Alerts`.
    ra_deg, dec_deg
        Where it was first seen to match (ICRS)...
    time_us
        ...and when, for what moves.
    """

    survey: str
    object_id: str
    ra_deg: float
    dec_deg: float
    time_us: int


@dataclass(frozen=True, slots=True)
class Annotation:
    """What one catalogue or service says of an object.

    Attributes
    ----------
    catalogue
        Name of the catalogue: its key in the configuration, or ``gaia``, ``ps1`` or ``solar_system`` for what the
        survey's packet carries.
    answer
        Whether it has an entry, has none, has not answered yet, or failed to answer.
    name
        Of the entry; empty without.
    separation_arcsec
        From the object to the entry.
    kind
        What the catalogue calls it, such as ``QSO``; empty if it does not say.
    star_probability
        0 for a galaxy, 1 for a star.
    redshift, distance_mpc, distance_err_mpc
        Of the entry, where the catalogue has them.
    values
        Further columns that were asked for, as text.
    """

    catalogue: str
    answer: Answer
    name: str = ""
    separation_arcsec: float | None = None
    kind: str = ""
    star_probability: float | None = None
    redshift: float | None = None
    distance_mpc: float | None = None
    distance_err_mpc: float | None = None
    values: Mapping[str, str] = field(default_factory=dict)
