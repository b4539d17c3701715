"""The detections of one survey in a batch of messages: gathered record by record, made into columns at once.

Records go through `schemas.walker` where they can. What it refuses, what is of a schema without a plan, and
each record whose values are not plainly in order is decoded by fastavro and judged alone: so there is one place that
says why a record is rejected, and only what is in order is fast.
"""

import math
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import Any, NamedTuple

import numpy as np

from schemas.avro import Block, records
from schemas.errors import BadPacket, Reason
from schemas.packet import Row, Survey
from schemas.picked import Bools, Picked
from schemas.plan import Plan, cells, width
from schemas.records import NEVER_US, Alerts
from schemas.walker import Walk
from schemas.writer_schema import Json

_MJD_RANGE = 47_892.0, 88_069.0
"""1990-01-01 to 2100-01-01: a time outside is a wrong unit, a placeholder or damage."""
_ID_RANGE = range(-(1 << 63), 1 << 63)
_NAME_LENGTH = 200
_BAND_LENGTH = 16

_ROWS = 20_000
_HELD_BYTES = 64 << 20
"""How many rows, and how many unpacked bytes, wait at most before they are made into columns."""


@dataclass(frozen=True, slots=True, eq=False)
class Reading:
    """How records of one writer schema are read.

    Attributes
    ----------
    survey
        Whose they are.
    whole, short, reader
        fastavro's writer schemas, of all fields and of those up to the last that is wanted, and its reader schema.
    plan
        How to walk them; None if they are read by fastavro alone.
    """

    survey: Survey
    whole: Json
    short: Json
    reader: Json
    plan: Plan | None


class Problem(NamedTuple):
    """What hindered the reading of a record or of what follows it.

    Attributes
    ----------
    place
        Sorts the problems of a batch as they stand in its messages.
    message
        The message's number, as it was given.
    """

    place: tuple[int, int]
    message: int
    error: BadPacket


class _Source(NamedTuple):
    """Where records come from: a block of a message, with how many records of the message come before it."""

    reading: Reading
    writer: Json
    message: int
    origin: str
    number: int


@dataclass(frozen=True, slots=True)
class _Walked:
    """Records in a row that were walked: ``count`` from row ``row``, the first of which is the ``place``-th of all."""

    row: int
    count: int
    place: int
    source: _Source
    data: bytes
    end: int


class Detections:
    """Gathers the detections of one survey.

    Parameters
    ----------
    survey
        The survey.
    """

    def __init__(self, survey: Survey) -> None:
        self._survey = survey
        self._cells, self._width = cells(survey.picks), width(survey.picks)
        self._parts: list[Alerts] = []
        self._problems: list[Problem] = []
        self._taken = 0
        self._begin()

    def _begin(self) -> None:
        self._walk = Walk(self._width)
        self._walked: list[_Walked] = []
        self._rows: list[tuple[int, str, Row]] = []
        self._held = 0

    def add(self, reading: Reading, block: Block, message: int, origin: str, number: int) -> int:
        """Take the records of a block.

        Parameters
        ----------
        message, origin
            Number and origin of its message.
        number
            How many records of the message came before.

        Returns
        -------
        int
            How many there were, good or bad, up to the end or the first that cannot be decoded.
        """
        alone, plan = block.count == 1, reading.plan
        source = _Source(reading, reading.short if alone else reading.whole, message, origin, number)
        done, at, row = 0, block.start, self._walk.rows
        if plan is not None:
            run = plan.short if alone else plan.whole
            at = self._walk.add(plan.program, run, block.data, at, block.end, block.count)
            done = self._walk.rows - row
            if done:
                self._walked.append(_Walked(row, done, self._taken, source, block.data, at))
        if done < block.count:
            rest = Block(block.count - done, block.data, at, block.end)
            done += self._decode(source, rest, done, self._taken + done)
        self._taken += done
        self._held += block.end - block.start
        if self._walk.rows + len(self._rows) >= _ROWS or self._held >= _HELD_BYTES:
            self._finish()
        return done

    def fail(self, message: int, error: BadPacket) -> None:
        """Note what hinders the reading of the message here."""
        self._problems.append(Problem((self._taken, 0), message, error))

    def result(self) -> tuple[Alerts | None, list[Problem]]:
        """All alerts, in order, None if there are none; and all problems, in order."""
        self._finish()
        alerts = Alerts.concatenate(self._parts) if len(self._parts) > 1 else next(iter(self._parts), None)
        return alerts, sorted(self._problems, key=lambda problem: problem.place)

    def _decode(self, source: _Source, block: Block, before: int, place: int) -> int:
        """Decode and judge records one by one; how many there were.

        Parameters
        ----------
        before
            How many records of the source came before.
        place
            Which of all records the first of these is.
        """
        done = 0
        try:
            for record in records(block, source.writer, source.reading.reader, before):
                self._judge(record, source, before + done, place + done)
                done += 1
        except BadPacket as error:
            self._problems.append(Problem((place + done, 0), source.message, error))
        return done

    def _judge(self, record: Any, source: _Source, before: int, place: int) -> None:
        try:
            self._rows.append((place, source.origin, _checked(self._survey, record)))
        except BadPacket as error:
            what = f"record {source.number + before + 1}: {error.detail}"
            self._problems.append(Problem((place, 1), source.message, BadPacket(error.reason, what)))

    def _finish(self) -> None:
        """Make columns of what has been gathered."""
        parts: list[Alerts] = []
        places: list[Any] = []
        if self._walk.rows:
            columns, sound = _columns(self._survey, Picked(self._walk, self._cells))
            for row in np.flatnonzero(~sound).tolist():
                self._judge_walked(row)
            if sound.any():
                columns["origin"] = [found.source.origin for found in self._walked for _ in range(found.count)]
                parts.append(_alerts(self._survey, {name: _where(column, sound) for name, column in columns.items()}))
                ahead = [found.place - found.row for found in self._walked]
                every = np.arange(len(sound)) + np.repeat(ahead, [found.count for found in self._walked])
                places.append(every[sound])
        if self._rows:
            rows = list(zip(*(row for _, _, row in self._rows), strict=True))
            columns = dict(zip(Row._fields, rows, strict=True)) | {"origin": [origin for _, origin, _ in self._rows]}
            parts.append(_alerts(self._survey, columns))
            places.append([place for place, _, _ in self._rows])
        if len(parts) > 1:
            self._parts.append(Alerts.concatenate(parts).take(np.argsort(np.concatenate(places))))
        else:
            self._parts += parts
        self._begin()

    def _judge_walked(self, row: int) -> None:
        """Decode a record that was walked, since something about it is not in order."""
        found = self._walked[bisect_right(self._walked, row, key=attrgetter("row")) - 1]
        at = row - found.row
        end = self._walk.starts[row + 1] if at + 1 < found.count else found.end
        self._decode(found.source, Block(1, found.data, self._walk.starts[row], end), at, found.place + at)


def _where(column: Any, sound: Bools) -> Any:
    if sound.all():
        return column
    if isinstance(column, list):
        return [value for value, kept in zip(column, sound.tolist(), strict=True) if kept]
    return column[sound]


def _columns(survey: Survey, picked: Picked) -> tuple[dict[str, Any], Bools]:
    """Columns of the records that were walked, and where they are plainly in order; see `_checked`."""
    row, sound = survey.columns(picked)
    mjd = row.time - survey.days.mjd_zero
    named = [0 < len(name) <= _NAME_LENGTH for name in row.object_id]
    sound = sound & named & (mjd >= _MJD_RANGE[0]) & (mjd < _MJD_RANGE[1])
    sound &= (row.ra_deg >= 0) & (row.ra_deg <= 360) & (np.abs(row.dec_deg) <= 90)  # noqa: PLR2004 - degrees
    first_mjd = row.first_detection - survey.days.mjd_zero
    last_mjd = row.last_non_detection - survey.days.mjd_zero
    sound &= ~(last_mjd >= mjd)
    row = row._replace(
        ra_deg=row.ra_deg % 360,
        first_detection=np.where((first_mjd >= _MJD_RANGE[0]) & (first_mjd < mjd), row.first_detection, row.time),
        last_non_detection=np.where((last_mjd >= _MJD_RANGE[0]) & (last_mjd < mjd), row.last_non_detection, np.nan),
        band=[band if len(band) <= _BAND_LENGTH else "" for band in row.band],
    )
    # Of Row's defaults, NaN for unknown, Alerts makes columns itself.
    return {name: column for name, column in row._asdict().items() if not isinstance(column, float)}, sound


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
    last = row.last_non_detection if row.last_non_detection - survey.days.mjd_zero >= _MJD_RANGE[0] else math.nan
    band = row.band if isinstance(row.band, str) and len(row.band) <= _BAND_LENGTH else ""
    return row._replace(object_id=name, ra_deg=ra % 360, first_detection=first, last_non_detection=last, band=band)


def _finite(value: Any, what: str, not_finite: Reason = Reason.NOT_FINITE) -> float:
    if value is None:
        raise BadPacket(Reason.MISSING_FIELD, f"{what} is null")
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise BadPacket(Reason.WRONG_TYPE, f"{what} is a {type(value).__name__}, expected a number")
    if not math.isfinite(value):
        raise BadPacket(not_finite, f"{what} is {value}")
    return float(value)


def _alerts(survey: Survey, columns: dict[str, Sequence[Any]]) -> Alerts:
    days = np.array([columns.pop("time"), columns.pop("first_detection")], np.float64)
    time_us, first_us = survey.days.to_us(days)
    last = np.asarray(columns.pop("last_non_detection"), np.float64)
    last_us, told = np.full(len(last), NEVER_US), np.isfinite(last)
    if told.any():  # astropy takes half a millisecond for none too
        last_us[told] = survey.days.to_us(last[told])
    return Alerts.from_columns(
        survey.name, **columns, time_us=time_us, first_detection_us=first_us, last_non_detection_us=last_us
    )
