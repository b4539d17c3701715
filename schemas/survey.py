"""Survey packets to `Alerts`: any survey, container or Confluent frame, one record or many.

The survey is found from the writer schema, by the fields that it has. Only the fields that are needed are
decoded. A record that makes no sense is rejected alone; what follows damage is lost, what came before is kept.
"""

import math
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from schemas import elasticc, lsst, ztf
from schemas.avro import (
    CONFLUENT_HEADER_BYTES,
    MAGIC,
    Block,
    confluent_block,
    confluent_id,
    open_container,
    records,
)
from schemas.bounded import gunzip, is_gzip
from schemas.catalogue import SchemaCatalogue
from schemas.errors import BadInput, BadPacket, Reason, UnknownSchema
from schemas.packet import Row, Survey
from schemas.records import Alerts, Message, Rejection
from schemas.writer_schema import DEFAULT_LIMITS, AvroLimits, Json, WriterSchema, cut_short, judged, projected

SURVEYS: tuple[Survey, ...] = (ztf.SURVEY, lsst.SURVEY, elasticc.SURVEY)

_MJD_RANGE = 47_892.0, 88_069.0
"""1990-01-01 to 2100-01-01: a time outside is a wrong unit, a placeholder or damage."""
_ID_RANGE = range(-(1 << 63), 1 << 63)
_NAME_LENGTH = 200
_BAND_LENGTH = 16


def quality_columns(survey_name: str) -> frozenset[str]:
    """The quality columns of `Alerts` that this survey's packets carry; the others are NaN throughout.

    Raises
    ------
    KeyError
        If there is no such survey.
    """
    return {survey.name: survey.quality_columns for survey in SURVEYS}[survey_name]


def is_survey_schema(schema: Json) -> Survey | None:
    """The survey that writes with this schema (JSON, parsed); None for any other and for what is no schema."""
    try:
        return _survey_of(judged(schema, {}))
    except BadPacket:
        return None


def looks_like_alerts(body: bytes) -> bool:
    """Whether a message is to be read as survey alerts, judged by its first bytes.

    True for Confluent frames and for Avro containers, gzipped or not, except those that were plainly written with
    the schema of something else; a damaged container is for `read_alerts` to reject.
    """
    try:
        if is_gzip(body) and zlib.decompressobj(zlib.MAX_WBITS | 16).decompress(body, len(MAGIC)) == MAGIC:
            body = _unpacked(body, DEFAULT_LIMITS)
        if body[: len(MAGIC)] == MAGIC:
            return _survey_of(open_container(body).writer) is not None
    except BadPacket:
        return True
    except zlib.error:
        return False
    return confluent_id(body) is not None


def read_alerts(
    message: Message, catalogue: SchemaCatalogue, limits: AvroLimits = DEFAULT_LIMITS
) -> tuple[list[Alerts], list[Rejection]]:
    """Read one message of one or many alerts.

    Returns
    -------
    list of Alerts
        One for each survey: here at most one.
    list of Rejection
        Records, or stretches of a damaged container, that could not be read.

    Raises
    ------
    BadPacket
        If nothing could be read at all; UNKNOWN_SCHEMA if the schema is of no survey.
    UnknownSchema
        If a framed record's schema is not in the catalogue.
    """
    survey, rows, problems = _read(message, catalogue, limits)
    if not rows:
        raise problems[0] if problems else BadPacket(Reason.EMPTY, "the container holds no records")
    rejections = [Rejection(message.origin, problem.reason, problem.detail) for problem in problems]
    return [_alerts(survey, rows, [message.origin] * len(rows))], rejections


def read_batch(
    messages: Iterable[Message], catalogue: SchemaCatalogue, limits: AvroLimits = DEFAULT_LIMITS
) -> tuple[list[Alerts], list[Rejection]]:
    """Read many messages at once: as `read_alerts` of each, ten times as fast for messages of one alert.

    Returns
    -------
    list of Alerts
        One for each survey, in the order of `SURVEYS`; rows in the order of the messages.
    list of Rejection
        Messages and parts of messages that could not be read, an unknown schema included.
    """
    rows: dict[str, list[Row]] = {survey.name: [] for survey in SURVEYS}
    origins: dict[str, list[str]] = {survey.name: [] for survey in SURVEYS}
    rejections: list[Rejection] = []
    for message in messages:
        try:
            survey, found, problems = _read(message, catalogue, limits)
        except BadPacket as error:
            rejections.append(Rejection(message.origin, error.reason, error.detail))
            continue
        except UnknownSchema as error:
            rejections.append(Rejection(message.origin, Reason.UNKNOWN_SCHEMA, str(error)))
            continue
        if not found and not problems:
            problems = [BadPacket(Reason.EMPTY, "the container holds no records")]
        rows[survey.name] += found
        origins[survey.name] += [message.origin] * len(found)
        rejections += [Rejection(message.origin, problem.reason, problem.detail) for problem in problems]
    alerts = [_alerts(survey, rows[survey.name], origins[survey.name]) for survey in SURVEYS if rows[survey.name]]
    return alerts, rejections


@dataclass(frozen=True, slots=True, eq=False)
class _Plan:
    """How records of one writer schema are read: fastavro's schemas, and the survey that they are of."""

    survey: Survey
    whole: Json
    short: Json
    reader: Json


@lru_cache(maxsize=64)
def _plan(writer: WriterSchema) -> _Plan:
    survey = _survey_of(writer)
    if survey is None:
        name = writer.source.get("name") if isinstance(writer.source, dict) else None
        raise BadPacket(Reason.UNKNOWN_SCHEMA, f"no known survey writes with the schema {str(name)[:100]!r}")
    for path in survey.times:
        if any("float" in _kinds(leaf) for leaf in _at(writer.tree, path)):
            raise BadPacket(Reason.BAD_TIME, f"{path} is a 32-bit number, too coarse for a time")
    return _Plan(survey, writer.parsed, cut_short(writer, survey.wanted), projected(writer, survey.wanted))


@lru_cache(maxsize=64)
def _survey_of(writer: WriterSchema) -> Survey | None:
    known = (survey for survey in SURVEYS if all(any(_at(writer.tree, path)) for path in survey.known_by))
    return next(known, None)


def _at(tree: Json, path: str) -> Iterator[Json]:
    """Types of the fields at a dotted path, seen through unions and arrays."""
    if isinstance(tree, list):
        for branch in tree:
            yield from _at(branch, path)
    elif isinstance(tree, dict) and tree["type"] == "array":
        yield from _at(tree["items"], path)
    elif isinstance(tree, dict) and tree["type"] == "record":
        step, _, rest = path.partition(".")
        for field in tree["fields"]:
            if field["name"] in step.split("|"):
                if rest:
                    yield from _at(field["type"], rest)
                else:
                    yield field["type"]


def _kinds(leaf: Json) -> list[Json]:
    return leaf if isinstance(leaf, list) else [leaf]


def _read(
    message: Message, catalogue: SchemaCatalogue, limits: AvroLimits
) -> tuple[Survey, list[Row], list[BadPacket]]:
    """The good rows of a message, and what hindered the others."""
    rows: list[Row] = []
    problems: list[BadPacket] = []
    number = 0
    body = _unpacked(message.body, limits)
    plan, blocks = _opened(body, catalogue, limits)
    try:
        for block in blocks:
            writer = plan.short if block.count == 1 else plan.whole
            try:
                for record in records(block, writer, plan.reader):
                    number += 1
                    try:
                        rows.append(_checked(plan.survey, record))
                    except BadPacket as error:
                        problems.append(BadPacket(error.reason, f"record {number}: {error.detail}"))
            except BadPacket as error:
                problems.append(error)
    except BadPacket as error:
        problems.append(error)
    return plan.survey, rows, problems


def _unpacked(body: bytes, limits: AvroLimits) -> bytes:
    if len(body) > limits.body_bytes:
        raise BadPacket(Reason.TOO_LARGE, f"{len(body)} bytes; at most {limits.body_bytes} are read")
    try:
        return gunzip(body, limits.body_bytes) if is_gzip(body) else body
    except BadInput as error:
        raise BadPacket(error.reason, error.detail) from error


def _opened(body: bytes, catalogue: SchemaCatalogue, limits: AvroLimits) -> tuple[_Plan, Iterator[Block]]:
    if not body:
        raise BadPacket(Reason.EMPTY, "the message has no bytes")
    if body[: len(MAGIC)] == MAGIC:
        container = open_container(body, limits)
        return _plan(container.writer), container.blocks()
    schema_id = confluent_id(body)
    if schema_id is None:
        expected = f"an Avro container or a Confluent frame of {CONFLUENT_HEADER_BYTES} bytes and a record"
        raise BadPacket(Reason.UNKNOWN_FORMAT, f"begins with {body[:8].hex()}, expected {expected}")
    writer = catalogue.get(schema_id)
    return _plan(writer), iter([confluent_block(body, writer)])


def _checked(survey: Survey, record: Any) -> Row:
    """The row of a record whose identity, time and position make sense."""
    try:
        row = survey.row(record)
    except KeyError as error:
        raise BadPacket(Reason.MISSING_FIELD, f"no field {error}") from error
    except (TypeError, ValueError, AttributeError, ArithmeticError) as error:
        raise BadPacket(Reason.WRONG_TYPE, f"a field is not what it should be: {error}"[:200]) from error
    if type(row.alert_id) is not int or row.alert_id not in _ID_RANGE:
        reason = Reason.MISSING_FIELD if row.alert_id is None else Reason.WRONG_TYPE
        raise BadPacket(reason, f"identifier of the alert is {str(row.alert_id)[:50]!r}, expected a 64-bit integer")
    name = "" if row.object_id is None else str(row.object_id)
    if not 0 < len(name) <= _NAME_LENGTH:
        raise BadPacket(Reason.MISSING_FIELD, f"name of the object has {len(name)} characters")
    mjd = _finite(row.time, "time", Reason.BAD_TIME) - survey.days.mjd_zero
    if not _MJD_RANGE[0] <= mjd < _MJD_RANGE[1]:
        raise BadPacket(Reason.BAD_TIME, f"time {row.time} days lies outside 1990 to 2100")
    ra, dec = _finite(row.ra_deg, "right ascension"), _finite(row.dec_deg, "declination")
    if not 0 <= ra <= 360:  # noqa: PLR2004 - degrees
        raise BadPacket(Reason.OUT_OF_RANGE, f"right ascension {ra}, expected 0 to 360 deg")
    if not -90 <= dec <= 90:  # noqa: PLR2004 - degrees
        raise BadPacket(Reason.OUT_OF_RANGE, f"declination {dec}, expected -90 to 90 deg")
    first_mjd = row.first_detection - survey.days.mjd_zero
    first = row.first_detection if _MJD_RANGE[0] <= first_mjd < mjd else float(row.time)
    band = row.band if isinstance(row.band, str) and len(row.band) <= _BAND_LENGTH else ""
    return row._replace(object_id=name, ra_deg=ra % 360, first_detection=first, band=band)


def _finite(value: Any, what: str, not_finite: Reason = Reason.NOT_FINITE) -> float:
    if value is None:
        raise BadPacket(Reason.MISSING_FIELD, f"{what} is null")
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise BadPacket(Reason.WRONG_TYPE, f"{what} is a {type(value).__name__}, expected a number")
    if not math.isfinite(value):
        raise BadPacket(not_finite, f"{what} is {value}")
    return float(value)


def _alerts(survey: Survey, rows: list[Row], origins: list[str]) -> Alerts:
    columns: dict[str, Any] = dict(zip(Row._fields, zip(*rows, strict=True), strict=True))
    days = np.array([columns.pop("time"), columns.pop("first_detection")], np.float64)
    time_us, first_us = survey.days.to_us(days)
    return Alerts.from_columns(survey.name, **columns, time_us=time_us, first_detection_us=first_us, origin=origins)
