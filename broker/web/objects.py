"""Objects over HTTP: what is stored of one, with its light curve; and which live triggers hold given positions."""

import asyncio
import json
from collections.abc import Sequence
from functools import partial
from http import HTTPStatus
from typing import Any

from aiohttp import web
from pydantic import BaseModel, ConfigDict, Field

from broker.web.access import PRINCIPAL
from broker.web.coincidences import Instant
from broker.web.problems import Problem
from broker.web.queries import Filter
from broker.web.reading import read_engine
from broker.web.routes import JSON, Answer, Part, Route, as_bytes, as_json, body_of
from broker.web.site import site_of
from broker.web.tokens import Scope
from matchers.engine import Engine
from matchers.judge import shortest
from matchers.objects import ObjectState
from matchers.triggers import Hit
from schemas.records import Alerts
from schemas.times import US_PER_S, iso_from_us

MOST_POSITIONS = 10_000
MOST_MATCHES = 50_000
_POSITIONS_AT_ONCE = 2000
"""After so many positions others get the engine."""
_COINCIDENCES = 100


class PointDocument(BaseModel):
    """A stored alert of an object."""

    alert_id: int = Field(description="The survey's 64-bit number of the alert; beyond 2^53.")
    time_utc: str = Field(description="Time of the detection.")
    ra_deg: float = Field(description="Right ascension of this detection, degrees.")
    dec_deg: float = Field(description="Declination of this detection, degrees.")
    band: str = Field(description="Filter.")
    mag: float | None = Field(description="PSF magnitude (AB).")
    mag_err: float | None = Field(description="Error of mag.")


class ObjectDetail(BaseModel):
    """What is known of an object."""

    survey: str = Field(description="Name of the survey.")
    object_id: str = Field(description="The survey's name of the object.")
    first_detection_utc: str = Field(description="Earliest detection that is known.")
    last_detection_utc: str = Field(description="Latest detection that is known.")
    last_non_detection_utc: str | None = Field(description="Latest visit that is known not to have seen it.")
    light_curve: tuple[PointDocument, ...] = Field(description="All stored alerts, by time.")
    coincidences: tuple[str, ...] = Field(description="Ids of the newest coincidences of the object.")


class PositionBody(BaseModel):
    """A position and an instant."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    ra_deg: float = Field(ge=0, le=360, description="ICRS right ascension, degrees.")
    dec_deg: float = Field(ge=-90, le=90, description="ICRS declination, degrees.")
    time_utc: Instant = Field(description="Instant of the detection.")


class MatchBody(BaseModel):
    """Positions that are asked about."""

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        json_schema_extra={
            "examples": [{"positions": [{"ra_deg": 197.45, "dec_deg": -23.38, "time_utc": "2026-10-06T09:00:00Z"}]}]
        },
    )

    positions: tuple[PositionBody, ...] = Field(
        min_length=1, max_length=MOST_POSITIONS, fail_fast=True, description="Positions."
    )


class MatchDocument(BaseModel):
    """A live trigger that holds a position."""

    position: int = Field(description="Which of the positions, from 0.")
    trigger: str = Field(description="Id of the trigger.")
    matcher: str = Field(description="Name of the matcher whose window it is.")
    delta_t_s: float = Field(description="Instant minus trigger time, seconds.")
    credible_level: float = Field(description="Probability inside the contour on which the position lies.")
    probability_density_per_sr: float = Field(description="Of the trigger's position there, per steradian.")


class Matches(BaseModel):
    """Which live triggers hold the positions."""

    matches: tuple[MatchDocument, ...] = Field(
        description="By position, in steps of some thousand, then trigger and matcher."
    )


async def _one(request: web.Request) -> web.StreamResponse:
    site, principal = site_of(request), request[PRINCIPAL]
    survey, _, object_id = request.match_info["id"].partition(":")

    def read(engine: Engine) -> tuple[ObjectState | None, Alerts | None]:
        return engine.index.state(survey, object_id), engine.index.of_objects(survey, [object_id])

    state, alerts = await read_engine(site, read)
    if state is None:
        detail = f"nothing is known of {request.match_info['id'][:200]!r}; expected SURVEY:OBJECT, as ztf:ZTF20aaaaaaa"
        raise Problem(HTTPStatus.NOT_FOUND, detail)
    page = await site.questions.coincidences(Filter(object_key=(survey, object_id)), principal, _COINCIDENCES)
    missed_us = state.last_non_detection_us
    told = {
        "survey": survey,
        "object_id": object_id,
        "first_detection_utc": iso_from_us(state.first_detection_us),
        "last_detection_utc": iso_from_us(state.last_detection_us),
        "last_non_detection_utc": None if missed_us is None else iso_from_us(missed_us),
        "light_curve": [] if alerts is None else _points(alerts),
        "coincidences": [one.id for one in page.items],
    }
    return as_json(request, told)


async def _matched(request: web.Request) -> web.StreamResponse:
    site, principal = site_of(request), request[PRINCIPAL]
    body = await body_of(request, MatchBody)
    count, texts = 0, []
    for start in range(0, len(body.positions), _POSITIONS_AT_ONCE):
        some = await asyncio.to_thread(_alerts, body.positions[start : start + _POSITIONS_AT_ONCE])
        hits = await read_engine(site, partial(_holding, alerts=some))
        visible = [hit for hit in hits if principal.sees(hit.trigger.private_to)]
        count += sum(len(hit.rows) for hit in visible)
        if count > MOST_MATCHES:
            detail = f"more than {MOST_MATCHES} triggers hold these positions; ask about fewer at a time"
            raise Problem(HTTPStatus.UNPROCESSABLE_ENTITY, detail)
        # JSON is made of few at a time: Python makes it in one go, in whatever thread, and nobody else runs meanwhile.
        texts += await asyncio.to_thread(_matches, visible, some, start)
    whole = await asyncio.to_thread(lambda: f'{{"matches":[{",".join(texts)}]}}'.encode())  # noqa: PLW0108 - all of it
    return as_bytes(request, whole)


def _holding(engine: Engine, alerts: Alerts) -> list[Hit]:
    return engine.book.holding(alerts)


def _matches(hits: Sequence[Hit], alerts: Alerts, start: int) -> list[str]:
    told = (_told(hit, alerts, start) for hit in hits)
    return [json.dumps(rows, separators=(",", ":"))[1:-1] for rows in told if rows]


def _alerts(positions: Sequence[PositionBody]) -> Alerts:
    """The positions as if a survey had sent them: the engine holds alerts to windows, and these to the same ones."""
    numbers = range(len(positions))
    return Alerts.from_columns(
        "asked",
        alert_id=list(numbers),
        object_id=[str(number) for number in numbers],
        time_us=[position.time_utc for position in positions],
        ra_deg=[position.ra_deg for position in positions],
        dec_deg=[position.dec_deg for position in positions],
    )


def _told(hit: Hit, alerts: Alerts, start: int) -> list[dict[str, Any]]:
    skymap = hit.trigger.skymap
    if skymap is None:
        return []
    inside = alerts.take(hit.rows)
    where = inside.ra_deg, inside.dec_deg, inside.pixel
    columns = zip(
        hit.rows.tolist(),
        ((inside.time_us - hit.trigger.time_us) / US_PER_S).tolist(),
        skymap.credible_level(*where).tolist(),
        skymap.density_per_sr(*where).tolist(),
        strict=True,
    )
    return [
        {
            "position": start + row,
            "trigger": hit.trigger.id,
            "matcher": hit.matcher,
            "delta_t_s": delta_t_s,
            "credible_level": min(level, 1.0),
            "probability_density_per_sr": density,
        }
        for row, delta_t_s, level, density in columns
    ]


def _points(alerts: Alerts) -> list[dict[str, Any]]:
    columns = zip(
        alerts.alert_id.tolist(),
        alerts.time_us.tolist(),
        alerts.ra_deg.tolist(),
        alerts.dec_deg.tolist(),
        alerts.band.tolist(),
        shortest(alerts.mag),
        shortest(alerts.mag_err),
        strict=True,
    )
    return [
        {
            "alert_id": alert_id,
            "time_utc": iso_from_us(time_us),
            "ra_deg": ra_deg,
            "dec_deg": dec_deg,
            "band": band,
            "mag": mag,
            "mag_err": mag_err,
        }
        for alert_id, time_us, ra_deg, dec_deg, band, mag, mag_err in columns
    ]


ROUTES = (
    Route(
        "GET",
        "/api/v1/objects/{id}",
        "getObject",
        _one,
        "What is stored of an object, by SURVEY:OBJECT, with its light curve",
        Scope.READ,
        {HTTPStatus.OK: Answer("The object.", {JSON: ObjectDetail})},
        parts={"id": Part("The survey and its name of the object.", "ztf:ZTF20aaaaaaa")},
    ),
    Route(
        "POST",
        "/api/v1/match",
        "matchPositions",
        _matched,
        "Which live triggers hold positions at their instants",
        Scope.READ,
        {HTTPStatus.OK: Answer("The triggers.", {JSON: Matches})},
        body={JSON: MatchBody},
    ),
)
