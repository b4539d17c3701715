"""How a kind of notice is described: one `NoticeType` a kind, in tables that `schemas.voevent_notice` looks up.

To add a kind of notice is one entry in a table (`schemas.classic_fermi`, `schemas.classic_swift`,
`schemas.classic_gamma`, `schemas.classic_other` or `schemas.streams`), and a small ``refine`` function where it says
something that no other does.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from schemas.localisation import Localisation, Systematics
from schemas.records import Citation, Kind, Messenger, Role
from schemas.voevent import VOEvent


@dataclass(slots=True)
class Draft:
    """What is known of a notice so far; the fields of `schemas.records.Notice` that reading may change.

    ``ident`` and ``aliases`` are without the namespace, which is that of the kind of notice; ``related`` has whole ids.
    """

    ident: str | None = None
    role: Role = Role.OBSERVATION
    kind: Kind = Kind.INITIAL
    stage: int = 0
    serial: int = 0
    time_us: int | None = None
    time_error_s: float | None = None
    localisation: Localisation | None = None
    skymap_url: str | None = None
    instrument: str = ""
    names: list[str] = field(default_factory=list)
    aliases: list[str] = field(default_factory=list)
    related: list[str] = field(default_factory=list)
    astrophysical: bool | None = None
    classification: dict[str, float] = field(default_factory=dict)
    significance: float | None = None
    significance_unit: str = ""
    far_hz: float | None = None
    links: dict[str, str] = field(default_factory=dict)
    citations: list[Citation] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


Refine = Callable[[VOEvent, Draft], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class NoticeType:
    """What is particular about a kind of notice.

    Attributes
    ----------
    name
        The sender's name of the kind, such as ``FERMI_GBM_FLT_POS``.
    mission, instrument, messenger
        As in `schemas.records.Notice`.
    namespace
        First part of the trigger's identifier; empty if the kind is about no trigger (a pointing, a test of the line).
    id_params
        Params that hold the observatory's identifier: the first that has a usable value counts.
    local_id
        True if the IVORN's local part is the identifier where no Param is.
    stage, serial_params
        Order among the notices of a trigger; the first Param of these that is there is the serial number.
    follows
        True if it always refines something earlier.
    positioned
        True if its position is that of the source.
    blank_origin
        True if (0, 0) stands for no position even with an error radius.
    containment, systematics
        What the error radius contains.
    assumed
        True if the sender does not state the containment; the notice then carries a warning.
    radii
        Params that hold the radius and what each contains, the best first; they come before Error2Radius.
    floor_deg
        Radius that is used where the notice gives 0 or none, or how to find it; None: then there is no localisation.
    timed
        True if the time in WhereWhen is the trigger's; False: the trigger's time comes with other notices.
    significance
        Params and units, the best first; zero counts as not given.
    far_per_year
        True if FAR without a unit is per year; else it is per second.
    retracts
        True if the kind as such is a retraction.
    refine
        Reads what is particular to this kind.
    """

    name: str
    mission: str
    instrument: str = ""
    messenger: Messenger = Messenger.GAMMA_RAY
    namespace: str = ""
    id_params: tuple[str, ...] = ("TrigID",)
    local_id: bool = False
    stage: int = 10
    serial_params: tuple[str, ...] = ()
    follows: bool = False
    positioned: bool = True
    blank_origin: bool = False
    containment: float = 0.9
    systematics: Systematics = Systematics.NONE_KNOWN
    assumed: bool = False
    radii: tuple[tuple[str, float], ...] = ()
    floor_deg: float | Callable[[VOEvent], float | None] | None = None
    timed: bool = True
    significance: tuple[tuple[str, str], ...] = ()
    far_per_year: bool = False
    retracts: bool = False
    refine: Refine | None = None


NoticeTypes = Mapping[int, NoticeType]


def pointing(name: str, mission: str) -> NoticeType:
    """Where an observatory looks or will look: about no trigger, no source and no event."""
    return NoticeType(name=name, mission=mission, positioned=False, timed=False)
