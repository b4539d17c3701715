"""What an astronomer uploads, as a message: so that it is stored, searched, corrected and taken back as a notice is.

A better map is an update and a deletion a retraction of the same trigger; the serial number orders them. Who may say so
was decided before the message was made: a message is read as an upload only if its topic says that it is one, which no
stranger's message does.
"""

import base64
from collections.abc import Mapping
from dataclasses import asdict
from typing import Annotated, Final, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError, model_validator

from schemas.bounded_json import JsonLimits, parse_json_object
from schemas.errors import BadInput, BadNotice, Reason
from schemas.localisation import MOST_ANNULI, Annuli, Annulus, Cone, Ellipse, InlineMap, Localisation, Systematics
from schemas.records import Kind, Message, Messenger, Notice, Role
from schemas.times import us_from_iso

TOPIC: Final = "starcross.upload"
MISSION: Final = "upload"
_LARGEST_BYTES: Final = 640 << 20
"""The largest map that the configuration may allow, in base64, with room for the rest."""

Instant = Annotated[str, StringConstraints(max_length=40)]
Degrees = Annotated[float, Field(ge=0, le=180)]
Name = Annotated[str, StringConstraints(strip_whitespace=True, max_length=100, pattern=r"^[^\x00-\x1f\x7f]*$")]
Owner = Annotated[str, StringConstraints(max_length=128, pattern=r"^[^\x00-\x1f\x7f]*$")]
"""As long as that of a token may be, and compared to the letter."""


class _Document(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class ConeDocument(_Document):
    """A position with a circular error."""

    ra_deg: float = Field(ge=0, le=360, description="ICRS right ascension of the centre, degrees.")
    dec_deg: float = Field(ge=-90, le=90, description="ICRS declination of the centre, degrees.")
    radius_deg: float = Field(gt=0, le=180, description="Radius that holds the containment, degrees.")
    containment: float = Field(0.9, gt=0, lt=1, description="Probability inside the radius.")

    @classmethod
    def of(cls, cone: Cone) -> Self:
        """Of the record."""
        return cls(**{name: getattr(cone, name) for name in cls.model_fields})

    def localisation(self) -> Cone:
        """The same as a record; who uploads it says what they mean, so that no systematic error is added."""
        return Cone(self.ra_deg, self.dec_deg, self.radius_deg, self.containment, Systematics.INCLUDED)


class EllipseDocument(_Document):
    """A position with an elliptical error."""

    ra_deg: float = Field(ge=0, le=360, description="ICRS right ascension of the centre, degrees.")
    dec_deg: float = Field(ge=-90, le=90, description="ICRS declination of the centre, degrees.")
    semi_major_deg: float = Field(gt=0, le=180, description="Semi-major axis, degrees.")
    semi_minor_deg: float = Field(gt=0, le=180, description="Semi-minor axis, degrees.")
    position_angle_deg: float = Field(
        0.0, ge=-360, le=360, description="Of the major axis, north through east, degrees."
    )
    containment: float = Field(0.9, gt=0, lt=1, description="Probability inside the ellipse.")

    @classmethod
    def of(cls, ellipse: Ellipse) -> Self:
        """Of the record."""
        return cls(**{name: getattr(ellipse, name) for name in cls.model_fields})

    def localisation(self) -> Ellipse:
        """The same as a record."""
        axes = self.semi_major_deg, self.semi_minor_deg, self.position_angle_deg
        return Ellipse(self.ra_deg, self.dec_deg, *axes, self.containment, Systematics.INCLUDED)


class AnnulusDocument(_Document):
    """A ring on which the position lies."""

    ra_deg: float = Field(ge=0, le=360, description="ICRS right ascension of the ring's centre, degrees.")
    dec_deg: float = Field(ge=-90, le=90, description="ICRS declination of the ring's centre, degrees.")
    radius_deg: float = Field(gt=0, le=180, description="Radius of the ring's middle, degrees.")
    half_width_deg: float = Field(gt=0, le=180, description="Half width of the band, degrees.")
    containment: float = Field(0.9, gt=0, lt=1, description="Probability inside the band.")


Rings = Annotated[tuple[AnnulusDocument, ...], Field(min_length=1, max_length=MOST_ANNULI)]


def rings_of(annuli: Annuli) -> Rings:
    """The rings of the record."""
    return tuple(AnnulusDocument(**asdict(ring)) for ring in annuli.rings)


def annuli_of(rings: Rings) -> Annuli:
    """The record of the rings."""
    return Annuli(tuple(Annulus(**ring.model_dump()) for ring in rings))


class SearchDocument(_Document):
    """How an upload is searched."""

    before_s: float = Field(0.0, ge=0, le=366 * 86_400, description="The window begins so long before the trigger.")
    after_d: float = Field(20.0, gt=0, le=366, description="The window ends so long after the trigger.")
    level: float = Field(0.9, gt=0, lt=1, description="Probability of the region that is searched.")
    new_object: bool = Field(True, description="Only objects that were not detected before the window began.")


class UploadDocument(_Document):
    """One message about an upload."""

    format: Literal["starcross-upload"] = "starcross-upload"
    version: Literal[1] = 1
    id: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{16}$")]
    serial: int = Field(ge=1, lt=2**31)
    kind: Kind
    issued_utc: Instant
    owner: Owner = ""
    private: bool = False
    name: Name = ""
    messenger: Messenger = Messenger.GRAVITATIONAL_WAVE
    trigger_utc: Instant
    search: SearchDocument = SearchDocument()
    origin: Name = ""
    map_base64: str | None = Field(None, repr=False)
    cone: ConeDocument | None = None
    ellipse: EllipseDocument | None = None
    annuli: Rings | None = None

    @model_validator(mode="after")
    def _one_position(self) -> Self:
        given = sum(position is not None for position in (self.map_base64, self.cone, self.ellipse, self.annuli))
        if given != (self.kind is not Kind.RETRACTION):
            raise ValueError("an upload has one of map_base64, cone, ellipse and annuli, and a retraction none")
        if self.private and not self.owner:
            raise ValueError("what is private has an owner")
        return self


def trigger_id_of(upload_id: str) -> str:
    """The trigger of an upload."""
    return f"{MISSION}:{upload_id}"


def calls_itself_upload(notice: Notice) -> bool:
    """Whether a notice says that it is an upload, or is about one: strangers choose the ids in what they send."""
    ids = (notice.trigger_id or "", *notice.aliases, *notice.related)
    return notice.mission.casefold() == MISSION or any(one.casefold().startswith(f"{MISSION}:") for one in ids)


def upload_bytes(document: UploadDocument) -> bytes:
    """The message's body."""
    return document.model_dump_json(exclude_none=True).encode()


def read_upload(message: Message) -> Notice:
    """The notice that an upload is.

    Raises
    ------
    BadNotice
        If it does not follow the format.
    """
    try:
        record = parse_json_object(message.body, JsonLimits(bytes=_LARGEST_BYTES, depth=4, values=200))
        document = UploadDocument.model_validate(record)
        issued_us, trigger_us = us_from_iso(document.issued_utc), us_from_iso(document.trigger_utc)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(map(str, first["loc"])) or "the upload"
        raise BadNotice(Reason.WRONG_TYPE, f"{place}: {first['msg']}") from None
    except BadInput as error:
        raise BadNotice(error.reason, error.detail) from None
    except ValueError as error:
        raise BadNotice(Reason.BAD_TIME, f"a time of the upload is unreadable: {error}") from None
    return Notice(
        message=message,
        notice_type="STARCROSS_UPLOAD",
        ivorn=f"ivo://starcross.invalid/uploads#{document.id}.{document.serial}",
        trigger_id=trigger_id_of(document.id),
        messenger=document.messenger,
        mission=MISSION,
        instrument=document.owner,
        role=Role.OBSERVATION,
        kind=document.kind,
        serial=document.serial,
        issued_us=issued_us,
        trigger_time_us=trigger_us,
        localisation=_localisation(document),
        names=(document.name,) if document.name else (),
        params={name: str(value) for name, value in document.search.model_dump().items()},
        private_to=document.owner if document.private else "",
    )


def search_of(params: Mapping[str, str]) -> SearchDocument:
    """How an upload is to be searched, from its notice's `params`."""
    return SearchDocument.model_validate({name: params[name] for name in SearchDocument.model_fields if name in params})


def _localisation(document: UploadDocument) -> Localisation | None:
    if document.map_base64 is not None:
        try:
            return InlineMap(base64.b64decode(document.map_base64, validate=True))
        except ValueError as error:
            raise BadNotice(Reason.MALFORMED, f"map_base64 of the upload is no base64: {error}") from None
    if document.annuli is not None:
        return annuli_of(document.annuli)
    position = document.cone or document.ellipse
    return None if position is None else position.localisation()
