"""What a batch of messages says, read in threads, before the engine hears of it.

What cannot be read is rejected with its reason. So is what a mistake of ours keeps from being read: no message holds up
those behind it.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TypeVar

import structlog

from broker.reader import Reader
from schemas.densities import skymap_of
from schemas.errors import BadSkyMap, Reason
from schemas.reading import MapFile, Reading
from schemas.records import Alerts, Message, Notice, Rejection, Role
from schemas.sky import SkyMap
from schemas.skymap import read_skymap
from schemas.survey import looks_like_alerts

T = TypeVar("T")
log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Intake:
    """What was read of a batch.

    Attributes
    ----------
    alerts
        By survey.
    heard
        Notices, each with the density of the position that it states, if it is searched and states one.
    maps
        Sky maps that came by themselves.
    stripped
        By origin: packets without their stamps, where that was asked for.
    rejected
        What could not be read.
    """

    alerts: Sequence[Alerts]
    heard: Sequence[tuple[Notice, SkyMap | None]]
    maps: Sequence[tuple[MapFile, SkyMap]]
    stripped: Mapping[str, bytes] = field(repr=False)
    rejected: list[Rejection]


async def take_in(reader: Reader, messages: Sequence[Message], *, include_tests: bool, strip: bool = False) -> Intake:
    """Read a batch.

    Parameters
    ----------
    include_tests
        Whether densities of test and mock notices are made.
    strip
        Whether packets are made without their stamps too.
    """
    readings = await _readings(reader, messages)
    rejected = [rejection for reading in readings for rejection in reading.rejections]
    notices = [notice for reading in readings for notice in reading.notices]
    maps = [skymap for reading in readings for skymap in reading.skymaps]
    alerts = [part for reading in readings for part in reading.alerts]

    def prepare() -> tuple[list[tuple[Notice, SkyMap | None]], list[tuple[MapFile, SkyMap]], dict[str, bytes]]:
        made = partial(density, include_tests=include_tests)
        heard = [(notice, _tried(notice.message.origin, partial(made, notice), rejected)) for notice in notices]
        read = [(file, _tried(file.origin, partial(read_skymap, file.body), rejected)) for file in maps]
        usable = [(file, skymap) for file, skymap in read if skymap is not None]
        return heard, usable, _stripped(reader, messages) if strip else {}

    if not (notices or maps or strip):
        return Intake(alerts, (), (), {}, rejected)
    heard, usable, stripped = await asyncio.to_thread(prepare)
    return Intake(alerts, heard, usable, stripped, rejected)


def density(notice: Notice, *, include_tests: bool) -> SkyMap | None:
    """The density of the position that a notice states; None if it states none, or is not searched.

    Raises
    ------
    BadSkyMap
        If its position makes no density.
    """
    if notice.trigger_id is None or notice.localisation is None:
        return None
    if not include_tests and notice.role in {Role.TEST, Role.MOCK}:
        return None
    return skymap_of(notice.localisation)


def map_of(message: Message, rejected: list[Rejection]) -> SkyMap | None:
    """The sky map that a message is; None, with its rejection noted, if it cannot be read."""
    return _tried(message.origin, partial(read_skymap, message.body), rejected)


async def _readings(reader: Reader, messages: Sequence[Message]) -> list[Reading]:
    """Read together, which is faster, or one by one if that fails."""
    try:
        return await reader.read_async(messages)
    except Exception:
        log.exception("a batch could not be read, its messages are read one by one", messages=len(messages))
    readings: list[Reading] = []
    for message in messages:
        try:
            readings += await reader.read_async([message])
        except Exception as error:  # noqa: BLE001 - whatever a mistake of ours raises
            readings.append(Reading(rejections=(_by_mistake(message.origin, error),)))
    return readings


def _tried(origin: str, make: Callable[[], T], rejected: list[Rejection]) -> T | None:
    try:
        return make()
    except BadSkyMap as error:
        rejected.append(Rejection(origin, error.reason, error.detail))
    except Exception as error:  # noqa: BLE001 - whatever a mistake of ours raises
        rejected.append(_by_mistake(origin, error))
    return None


def _by_mistake(origin: str, error: Exception) -> Rejection:
    log.error("a mistake of Starcross: a message could not be read", origin=origin, exc_info=error)
    return Rejection(origin, Reason.INTERNAL, f"{type(error).__name__}: {error}")


def _stripped(reader: Reader, messages: Sequence[Message]) -> dict[str, bytes]:
    """Those that can be made smaller."""
    made: dict[str, bytes] = {}
    for message in messages:
        if looks_like_alerts(message.body):
            try:
                made[message.origin] = reader.without_stamps(message.body)
            except Exception as error:  # noqa: BLE001 - it is kept as it is then
                log.debug("a packet keeps its stamps", origin=message.origin, why=str(error))
    return made
