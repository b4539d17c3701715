"""What goes into the store, a batch at a time, and what comes out of it for a sink."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from bridges.emit import NOWHERE, Positions
from schemas.annotations import Annotation
from schemas.records import Alerts, Coincidence, Message, Publication, Rejection


@dataclass(frozen=True, slots=True)
class KeptPacket:
    """A survey's packet that is kept.

    Attributes
    ----------
    survey, alert_id, object_id, time_us
        As in `Alerts`.
    body
        Its bytes, as they came or stripped of cutouts.
    schema_id
        Of its writer schema in the registry, if it came in Confluent's wire format.
    matched
        Whether it belongs to a coincidence: it is kept longer then.
    """

    survey: str
    alert_id: int
    object_id: str
    time_us: int
    body: bytes = field(repr=False)
    schema_id: int | None = None
    matched: bool = False


@dataclass(frozen=True, slots=True)
class KeptNotice:
    """A notice as it came, and what it is known by.

    Attributes
    ----------
    heard_us
        When it was taken in.
    ivorn, trigger_id
        As in `schemas.records.Notice`.
    """

    message: Message
    heard_us: int
    ivorn: str
    trigger_id: str | None


@dataclass(frozen=True, slots=True)
class KeptSkyMap:
    """A sky map to which a notice linked.

    Attributes
    ----------
    trigger_id, ivorn
        Of the notice.
    url
        Where it was fetched.
    body
        The file as it came.
    heard_us
        When it was taken in.
    """

    trigger_id: str
    ivorn: str
    url: str
    body: bytes = field(repr=False)
    heard_us: int


@dataclass(frozen=True, slots=True)
class KeptAnnotation:
    """What a service answered about an object, and when."""

    survey: str
    object_id: str
    annotation: Annotation
    answered_us: int


@dataclass(frozen=True, slots=True)
class CoincidenceEntry:
    """A revision of a coincidence that a sink is to be sent, with the sink's substreams that it belongs to."""

    sink: str
    coincidence_id: str
    revision: int
    substreams: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class NoticeEntry:
    """A notice that a sink is to pass on."""

    sink: str
    ivorn: str


Entry = CoincidenceEntry | NoticeEntry


@dataclass(frozen=True, slots=True)
class Capped:
    """A revision that a substream was not sent because its night was full.

    Attributes
    ----------
    night
        Number of the night, as `matchers.nights.night_of` gives it.
    """

    substream: str
    night: int
    coincidence_id: str
    revision: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """What one batch of a source changes. It is kept wholly or not at all.

    Attributes
    ----------
    source
        Name of the source in the configuration.
    positions
        Where it stands after this batch, as far as that changed.
    stored
        Alerts that are new in the index.
    noted
        Alerts that were cut: of them only what is known of objects is kept.
    packets, notices, skymaps
        What is kept as it came.
    annotations
        What services answered.
    changes
        New revisions of coincidences.
    quiet
        What holds now of coincidences that differ too little from their last revision for a new one.
    outbox
        What sinks are to be sent, in order. What is named must be stored, with this batch or before.
    capped
        What substreams are not sent.
    rejected
        What could not be read, with its bytes.
    """

    source: str
    positions: Positions = field(default_factory=lambda: NOWHERE)
    stored: Sequence[Alerts] = ()
    noted: Sequence[Alerts] = ()
    packets: Sequence[KeptPacket] = ()
    notices: Sequence[KeptNotice] = ()
    skymaps: Sequence[KeptSkyMap] = ()
    annotations: Sequence[KeptAnnotation] = ()
    changes: Sequence[Coincidence] = ()
    quiet: Sequence[Coincidence] = ()
    outbox: Sequence[Entry] = ()
    capped: Sequence[Capped] = ()
    rejected: Sequence[tuple[Rejection, bytes]] = ()


@dataclass(frozen=True, slots=True)
class Delivery:
    """An entry of a sink's outbox.

    Attributes
    ----------
    id
        For `Store.done`; ascending in the order in which they are to be sent.
    stored_us
        When it was put there.
    publication, notice
        What is to be sent: one of them is there.
    """

    id: int
    stored_us: int
    publication: Publication | None = None
    notice: KeptNotice | None = None


@dataclass(frozen=True, slots=True)
class Backlog:
    """What a sink has not been sent yet: how many entries, and when the oldest was stored (None without any)."""

    count: int = 0
    oldest_us: int | None = None


@dataclass(frozen=True, slots=True)
class Trouble:
    """Why nothing can be written at present, and since when."""

    what: str
    since_us: int
