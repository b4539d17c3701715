"""Survey packets to `Alerts`: any survey, container or Confluent frame, one record or many.

The survey is found from the writer schema, by the fields that it has. Only the fields that are needed are
decoded. A record that makes no sense is rejected alone; what follows damage is lost, what came before is kept.
"""

import zlib
from collections.abc import Iterable, Iterator
from functools import lru_cache
from operator import itemgetter

from schemas import elasticc, lsst, ztf
from schemas.avro import (
    CONFLUENT_HEADER_BYTES,
    MAGIC,
    Block,
    confluent_block,
    confluent_id,
    open_container,
)
from schemas.bounded import gunzip, is_gzip
from schemas.catalogue import SchemaCatalogue
from schemas.detections import Detections, Reading
from schemas.errors import BadInput, BadPacket, Reason, UnknownSchema
from schemas.packet import Survey
from schemas.plan import plan
from schemas.records import Alerts, Message, Rejection
from schemas.writer_schema import DEFAULT_LIMITS, AvroLimits, Json, WriterSchema, cut_short, judged, projected

SURVEYS: tuple[Survey, ...] = (ztf.SURVEY, lsst.SURVEY, elasticc.SURVEY)


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
    reading, blocks = _opened(_unpacked(message.body, limits), catalogue, limits)
    found = Detections(reading.survey)
    _read(found, reading, blocks, 0, message.origin)
    alerts, problems = found.result()
    if alerts is None:
        raise problems[0].error
    return [alerts], [Rejection(message.origin, problem.error.reason, problem.error.detail) for problem in problems]


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
    found = {survey.name: Detections(survey) for survey in SURVEYS}
    rejected: list[tuple[int, Rejection]] = []
    origins: list[str] = []
    for number, message in enumerate(messages):
        origins.append(message.origin)
        try:
            reading, blocks = _opened(_unpacked(message.body, limits), catalogue, limits)
            _read(found[reading.survey.name], reading, blocks, number, message.origin)
        except BadPacket as error:
            rejected.append((number, Rejection(message.origin, error.reason, error.detail)))
        except UnknownSchema as error:
            rejected.append((number, Rejection(message.origin, Reason.UNKNOWN_SCHEMA, str(error))))
    parts: list[Alerts] = []
    for detections in found.values():
        alerts, problems = detections.result()
        parts += [alerts] if alerts is not None else []
        for problem in problems:
            rejection = Rejection(origins[problem.message], problem.error.reason, problem.error.detail)
            rejected.append((problem.message, rejection))
    return parts, [rejection for _, rejection in sorted(rejected, key=itemgetter(0))]


@lru_cache(maxsize=64)
def _reading(writer: WriterSchema) -> Reading:
    survey = _survey_of(writer)
    if survey is None:
        name = writer.source.get("name") if isinstance(writer.source, dict) else None
        raise BadPacket(Reason.UNKNOWN_SCHEMA, f"no known survey writes with the schema {str(name)[:100]!r}")
    for path in survey.times:
        if any("float" in _kinds(leaf) for leaf in _at(writer.tree, path)):
            raise BadPacket(Reason.BAD_TIME, f"{path} is a 32-bit number, too coarse for a time")
    return Reading(
        survey,
        whole=writer.parsed,
        short=cut_short(writer, survey.wanted),
        reader=projected(writer, survey.wanted),
        plan=plan(writer.tree, survey.picks, survey.wanted),
    )


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


def _read(found: Detections, reading: Reading, blocks: Iterator[Block], message: int, origin: str) -> None:
    """Take the records of a message."""
    number, empty = 0, True
    try:
        for block in blocks:
            number += found.add(reading, block, message, origin, number)
            empty = empty and not block.count
        if empty:
            found.fail(message, BadPacket(Reason.EMPTY, "the container holds no records"))
    except BadPacket as error:
        found.fail(message, error)


def _unpacked(body: bytes, limits: AvroLimits) -> bytes:
    if len(body) > limits.body_bytes:
        raise BadPacket(Reason.TOO_LARGE, f"{len(body)} bytes; at most {limits.body_bytes} are read")
    try:
        return gunzip(body, limits.body_bytes) if is_gzip(body) else body
    except BadInput as error:
        raise BadPacket(error.reason, error.detail) from error


def _opened(body: bytes, catalogue: SchemaCatalogue, limits: AvroLimits) -> tuple[Reading, Iterator[Block]]:
    if not body:
        raise BadPacket(Reason.EMPTY, "the message has no bytes")
    if body[: len(MAGIC)] == MAGIC:
        container = open_container(body, limits)
        return _reading(container.writer), container.blocks()
    schema_id = confluent_id(body)
    if schema_id is None:
        expected = f"an Avro container or a Confluent frame of {CONFLUENT_HEADER_BYTES} bytes and a record"
        raise BadPacket(Reason.UNKNOWN_FORMAT, f"begins with {body[:8].hex()}, expected {expected}")
    writer = catalogue.get(schema_id)
    return _reading(writer), iter([confluent_block(body, writer)])
