"""What a request to upload says: a file as body or form, JSON for a position, a coverage map or an LVK alert, or a URL.

Bodies are read as they come and no further than the limit; nothing is unpacked or parsed on the event loop.
"""

import asyncio
import json
from dataclasses import dataclass, replace
from http import HTTPStatus
from typing import Annotated, Any, Self, cast

from aiohttp import BodyPartReader, MultipartReader, StreamReader, web
from aiohttp.http_exceptions import HttpProcessingError
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, WithJsonSchema, model_validator

from bridges.map_fetcher import FetchError, MapFetcher
from broker.web.coincidences import Instant
from broker.web.problems import Problem
from broker.web.routes import FORM, JSON, Flag, asked, checked, read_json, read_up_to
from schemas.bounded_json import JsonLimits
from schemas.densities import skymap_of
from schemas.localisation import Annuli, Cone, Ellipse, InlineMap, Localisation
from schemas.lvk import is_lvk, lvk_notice
from schemas.records import Message, Messenger
from schemas.sky import SkyMap
from schemas.skymap import MapLimits, read_skymap, read_skymap_header
from schemas.upload import ConeDocument, EllipseDocument, Rings, SearchDocument, annuli_of

FILE_TYPES = ("application/fits", "image/fits", "application/octet-stream", "application/gzip", "application/x-gzip")
FILE_FIELD = "skymap"
_FIELD_BYTES = 4096
_MOST_PARTS = 32
_MOST_LINES = 20 * _MOST_PARTS
"""Of boundaries and headers."""
_JSON_DEPTH = 20
_LONGEST_NAME = 1000
Name = Annotated[str, StringConstraints(strip_whitespace=True, max_length=100, pattern=r"^[^\x00-\x1f\x7f]*$")]
Coverage = Annotated[
    dict[str, Any],
    WithJsonSchema(
        {
            "type": "object",
            "propertyNames": {"pattern": "^[12]?[0-9]$"},
            "additionalProperties": {"type": "array", "items": {"type": "integer", "minimum": 0}},
            "minProperties": 1,
            "examples": [{"6": [24576, 24577]}],
        }
    ),
]
"""Read as a map's file is, in bounds."""
_INSTANT_SCHEMA = {"type": "string", "format": "date-time"}
LvkAlert = Annotated[
    dict[str, Any],
    WithJsonSchema(
        {
            "type": "object",
            "required": ["alert_type", "event", "superevent_id", "time_created"],
            "properties": {
                "superevent_id": {"type": "string", "pattern": "^[MT]?S[0-9]{6}[a-z]{1,4}$"},
                "alert_type": {"enum": ["EARLYWARNING", "PRELIMINARY", "INITIAL", "UPDATE"]},
                "time_created": _INSTANT_SCHEMA,
                "event": {
                    "type": "object",
                    "required": ["skymap", "time"],
                    "properties": {
                        "time": _INSTANT_SCHEMA,
                        "skymap": {"type": "string", "contentEncoding": "base64", "format": "base64-map"},
                    },
                },
            },
        }
    ),
]
"""Read as one of GCN is."""


class UploadSettings(BaseModel):
    """How an upload is called and searched."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    name: Name = Field("", description="What it is to be called; by default what the file says.")
    trigger_time: Instant | None = Field(None, description="Instant of the event (UTC); by default what the file says.")
    messenger: Messenger = Field(Messenger.GRAVITATIONAL_WAVE, description="What carried the news.")
    before_s: float = Field(0.0, ge=0, le=366 * 86_400, description="The window begins so long before the event.")
    after_d: float = Field(20.0, gt=0, le=366, description="The window ends so long after the event.")
    level: float = Field(0.9, gt=0, lt=1, description="Probability of the region that is searched.")
    new_object: Flag = Field(True, description="Only objects that were not detected before the window began.")
    private: Flag = Field(False, description="Whether its owner alone sees it and its coincidences.")

    def search(self) -> SearchDocument:
        """The part that says how to search."""
        return SearchDocument(
            before_s=self.before_s, after_d=self.after_d, level=self.level, new_object=self.new_object
        )


class SkymapForm(UploadSettings):
    """An upload as a form, as browsers and ``curl -F`` send it."""

    skymap: Annotated[
        str,
        WithJsonSchema({"type": "string", "format": "binary", "contentMediaType": "application/octet-stream"}),
    ] = Field(description="The file: a sky map or coverage map, gzipped or not.")


class PositionRequest(UploadSettings):
    """An upload without a file: one of cone, ellipse, annuli, moc, lvk and url."""

    model_config = ConfigDict(
        json_schema_extra={
            "oneOf": [
                {"required": [name], "properties": {name: {"type": kind}}}
                for name, kind in (
                    ("cone", "object"), ("ellipse", "object"), ("annuli", "array"), ("moc", "object"),
                    ("lvk", "object"), ("url", "string"),
                )
            ],
            "examples": [
                {
                    "name": "a burst",
                    "messenger": "gamma-ray",
                    "trigger_time": "2026-10-06T06:24:11Z",
                    "cone": {"ra_deg": 187.7, "dec_deg": 12.4, "radius_deg": 3.0},
                }
            ],
        }
    )  # fmt: skip

    cone: ConeDocument | None = Field(None, description="A position with a circular error.")
    ellipse: EllipseDocument | None = Field(None, description="A position with an elliptical error.")
    annuli: Rings | None = Field(None, description="Rings that the position lies on: the product of their densities.")
    moc: Coverage | None = Field(None, description="A coverage map (IVOA MOC) in JSON: cells by order.")
    lvk: LvkAlert | None = Field(None, description="An LVK alert with its sky map, as GCN sends it.")
    url: Annotated[str, Field(max_length=2048, json_schema_extra={"format": "map-url"})] | None = Field(
        None, description="Where the file is, on a host that is allowed."
    )

    @model_validator(mode="after")
    def _one_position(self) -> Self:
        positions = self.cone, self.ellipse, self.annuli, self.moc, self.lvk, self.url
        if sum(given is not None for given in positions) != 1:
            raise ValueError("give one of cone, ellipse, annuli, moc, lvk and url")
        return self


@dataclass(frozen=True, slots=True)
class Wanted:
    """What was asked for, before it is read.

    Attributes
    ----------
    position
        Bytes of a file, a cone, an ellipse or rings, or an LVK alert.
    file_name
        As the sender calls the file, without its folders; empty without.
    """

    settings: UploadSettings
    position: bytes | Cone | Ellipse | Annuli | dict[str, Any]
    file_name: str = ""


@dataclass(frozen=True, slots=True, eq=False)
class Understood:
    """What was read.

    Attributes
    ----------
    localisation
        What is kept and searched.
    skymap
        The density that it means.
    trigger_us
        Instant of the event.
    """

    settings: UploadSettings
    localisation: Localisation
    skymap: SkyMap
    name: str
    trigger_us: int
    file_name: str


async def wanted_of(request: web.Request, fetcher: MapFetcher, bytes_max: int) -> Wanted:
    """Read a request. Settings may stand in the query, and in a form or JSON, which count more.

    Raises
    ------
    Problem
        413, 415 or 422, saying what is wrong.
    """
    beside = asked(request, UploadSettings)
    if request.content_type == FORM:
        wanted = await _of_form(request, bytes_max)
    elif request.content_type == JSON:
        body = await _body(request, bytes_max)
        wanted = await _of_json(await asyncio.to_thread(_position_request, body, bytes_max), fetcher)
    elif request.content_type in FILE_TYPES:
        wanted = Wanted(UploadSettings(), await _body(request, bytes_max))
    else:
        known = ", ".join((FORM, JSON, *FILE_TYPES))
        raise Problem(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, f"expected {known} (given: {request.content_type})")
    said = wanted.settings.model_dump(exclude_unset=True, exclude_none=True)
    return replace(wanted, settings=beside.model_copy(update=said))


def understood(wanted: Wanted, limits: MapLimits) -> Understood:
    """Read a map and find out what was not said; takes up to seconds, and belongs in a thread.

    Raises
    ------
    BadInput
        If the position makes no density.
    Problem
        422 if nobody says when the event was.
    """
    position, settings = wanted.position, wanted.settings
    name, time_us = settings.name, None
    if isinstance(position, dict):
        notice = lvk_notice(position, Message(b"", "upload"))
        if not isinstance(notice.localisation, InlineMap):
            raise Problem(HTTPStatus.UNPROCESSABLE_ENTITY, "the LVK alert has no sky map")
        name, time_us = name or next(iter(notice.names), ""), notice.trigger_time_us
        position = notice.localisation.body
    if isinstance(position, bytes):
        skymap, header = read_skymap(position, limits), read_skymap_header(position, limits)
        name, time_us = name or header.object_name, header.time_us if time_us is None else time_us
        localisation: Localisation = InlineMap(position)
    else:
        skymap, localisation = skymap_of(position), position
    trigger_us = time_us if settings.trigger_time is None else settings.trigger_time
    if trigger_us is None:
        raise wrong("trigger_time", "the file does not say when the event was: give it")
    return Understood(settings, localisation, skymap, _plain(name), trigger_us, _without_folders(wanted.file_name))


def wrong(place: str, detail: str) -> Problem:
    """What is wrong with an upload, and where."""
    return Problem(HTTPStatus.UNPROCESSABLE_ENTITY, "the upload is wrong", errors=[{"place": place, "detail": detail}])


async def _of_json(asked: PositionRequest, fetcher: MapFetcher) -> Wanted:
    settings = UploadSettings.model_construct(
        **asked.model_dump(include=set(UploadSettings.model_fields), exclude_unset=True)
    )
    if asked.cone is not None:
        return Wanted(settings, asked.cone.localisation())
    if asked.ellipse is not None:
        return Wanted(settings, asked.ellipse.localisation())
    if asked.annuli is not None:
        return Wanted(settings, annuli_of(asked.annuli))
    if asked.moc is not None:
        return Wanted(settings, await asyncio.to_thread(lambda: json.dumps(asked.moc).encode()))
    if asked.url is not None:
        try:
            return Wanted(settings, await fetcher.fetch(asked.url), asked.url)
        except FetchError as error:
            raise wrong("body.url", str(error)) from None
    if not is_lvk(asked.lvk or {}):
        raise wrong("body.lvk", "no LVK alert: expected superevent_id and alert_type")
    return Wanted(settings, dict(asked.lvk or {}))


async def _of_form(request: web.Request, bytes_max: int) -> Wanted:
    """A form: the file as ``skymap``, and settings as fields, in any order."""
    fields: dict[str, str] = {}
    file: bytes | None = None
    file_name = ""
    form_bytes = bytes_max + _MOST_PARTS * _FIELD_BYTES
    _require_length(request, form_bytes)
    try:
        body = cast("StreamReader", _BoundedBody(request.content, form_bytes))
        reader = MultipartReader(request.headers, body)
        for _ in range(_MOST_PARTS):
            part = await reader.next()
            if part is None:
                break
            if not isinstance(part, BodyPartReader) or part.name is None:
                raise wrong("body", "expected fields with names, and none inside each other")
            if part.name in fields or (part.name == FILE_FIELD and file is not None):
                raise wrong("body", f"the field {part.name[:100]!r} comes twice")
            if part.name == FILE_FIELD:
                file, file_name = await read_up_to(part.read_chunk, bytes_max), (part.filename or "")
            else:
                fields[part.name] = (await read_up_to(part.read_chunk, _FIELD_BYTES)).decode("utf-8", "replace")
        else:
            raise wrong("body", f"more than {_MOST_PARTS} fields")
    except (ValueError, RuntimeError, LookupError, HttpProcessingError) as error:
        # aiohttp's reader raises all of these at a form that is malformed
        raise Problem(HTTPStatus.BAD_REQUEST, f"the form cannot be read: {str(error)[:200]}") from None
    if file is None:
        raise wrong(f"body.{FILE_FIELD}", "the form has no file of this name")
    return Wanted(checked(fields, UploadSettings, "body"), file, file_name)


def _plain(name: str) -> str:
    """A name that a stranger gave, in characters that do no harm."""
    return "".join(character for character in name[-_LONGEST_NAME:] if character.isprintable()).strip()[:100].strip()


def _without_folders(name: str) -> str:
    """What a sender calls a file, which never becomes a path."""
    return _plain(name.replace("\\", "/").rpartition("/")[2])


class _BoundedBody:
    """A body of which no more than so many bytes and lines are read: before its first part a form may have anything."""

    def __init__(self, content: StreamReader, bytes_max: int) -> None:
        self._content, self._bytes_max, self._left = content, bytes_max, bytes_max
        self._lines_left = _MOST_LINES

    async def read(self, size: int = -1) -> bytes:
        return self._counted(await self._content.read(size))

    async def readline(self, *, max_line_length: int | None = None) -> bytes:
        self._lines_left -= 1
        if self._lines_left < 0:
            raise Problem(
                HTTPStatus.BAD_REQUEST, f"the form has more than {_MOST_LINES} lines besides what its fields hold"
            )
        return self._counted(await self._content.readline(max_line_length=max_line_length))

    def at_eof(self) -> bool:
        return self._content.at_eof()

    def unread_data(self, data: bytes) -> None:
        self._left += len(data)
        self._content.unread_data(data)

    def _counted(self, data: bytes) -> bytes:
        self._left -= len(data)
        if self._left < 0:
            raise Problem(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"at most {self._bytes_max} bytes are taken")
        return data


async def _body(request: web.Request, bytes_max: int) -> bytes:
    _require_length(request, bytes_max)
    return await read_up_to(request.content.read, bytes_max)


def _require_length(request: web.Request, bytes_max: int) -> None:
    """Refuse what says itself that it is too long before any of it is read."""
    if (request.content_length or 0) > bytes_max:
        raise Problem(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"at most {bytes_max} bytes are taken")


def _position_request(body: bytes, bytes_max: int) -> PositionRequest:
    return read_json(body, PositionRequest, JsonLimits(bytes=bytes_max, depth=_JSON_DEPTH))
