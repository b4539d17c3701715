"""The whole sky at a glance: where the night's alerts are, the contours of all searched triggers, and coincidences in
brief. One answer each, as a page or a plot of everything needs them."""

import asyncio
import json
from collections.abc import Sequence
from http import HTTPStatus
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
from aiohttp import web
from pydantic import BaseModel, ConfigDict, Field

from broker.web.access import PRINCIPAL
from broker.web.coincidences import Cursor, ListQuery, start_of
from broker.web.contours import contours
from broker.web.cursors import after_of, cursor_of
from broker.web.geometry import Outlines
from broker.web.queries import Found
from broker.web.reading import read_engine
from broker.web.routes import GEOJSON, JSON, Answer, Route, as_json, as_text, asked
from broker.web.site import site_of
from broker.web.tokens import Scope
from matchers.engine import Engine
from matchers.nights import Night
from schemas.pixels import ORDER
from schemas.records import Trigger
from schemas.sky import SkyMap
from schemas.times import iso_from_us

DENSITY_ORDER = 5
"""Cells of 3.4 deg2, some hundred pixels on a screen."""
LEVELS = (0.5, 0.9)
_LINE_POINTS = 120
"""More points of a line nobody sees on the whole sky."""
_EDGES = np.arange((12 << 2 * DENSITY_ORDER) + 1, dtype=np.int64) << 2 * (ORDER - DENSITY_ORDER)
_drawn: "WeakKeyDictionary[SkyMap, list[dict[str, Any]]]" = WeakKeyDictionary()
"""Contours of maps that were drawn before: each takes some hundredths of a second."""


class DensityDocument(BaseModel):
    """Where alerts of a night are."""

    start_utc: str | None = Field(description="When the night begins; null while no alert is stored.")
    end_utc: str | None = Field(description="When the next one begins.")
    order: int = Field(description="Order of the HEALPix cells, which are numbered in the NESTED scheme.")
    alerts: int = Field(description="Stored alerts of the night.")
    cells: tuple[int, ...] = Field(description="Cells with alerts, ascending.")
    counts: tuple[int, ...] = Field(description="How many alerts each has.")


class OutlineQuery(BaseModel):
    """Which part."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    cursor: Cursor | None = Field(None, description="`next` of the answer before.")
    limit: int = Field(50, ge=1, le=200, description="Most triggers of an answer.")


class BriefDocument(BaseModel):
    """A coincidence in brief."""

    id: str = Field(description="Its id.")
    revision: int = Field(description="Its newest revision.")
    state: str = Field(description="proposed, updated or withdrawn.")
    changed_utc: str = Field(description="When this revision was made.")
    matcher: str = Field(description="Name of the matcher.")
    trigger: str = Field(description="Id of the trigger.")
    trigger_name: str = Field(description="A name of the trigger that people use, or its id.")
    messenger: str = Field(description="What carried the news.")
    survey: str = Field(description="Name of the survey.")
    object_id: str = Field(description="The survey's name of the object.")
    ra_deg: float = Field(description="Right ascension of the object, degrees.")
    dec_deg: float = Field(description="Declination of the object, degrees.")
    mag: float | None = Field(description="Magnitude of the latest matching alert.")
    band: str = Field(description="Its filter.")
    delta_t_s: float = Field(description="First matching alert minus trigger time, seconds.")
    credible_level: float = Field(description="Probability inside the contour on which the object lies.")
    overlap: float = Field(description="Bayes factor of a common position against an unrelated one.")
    posterior: float | None = Field(description="Probability that the object is the counterpart.")
    far_per_year: float | None = Field(description="Unrelated coincidences as good as this one, or better, in a year.")
    rank: int | None = Field(description="Place among the trigger's coincidences of the same matcher.")


class BriefList(BaseModel):
    """A part of a list of coincidences in brief."""

    items: tuple[BriefDocument, ...] = Field(description="The coincidences, in the order in which they were stored.")
    next: str | None = Field(description="Cursor of the next part; null at the end.")


def counts_by_cell(nights: Sequence[Night]) -> dict[int, int]:
    """How many stored alerts of nights lie in each cell of `DENSITY_ORDER` that has any.

    The runs are sorted, so that it takes a search for each edge however many alerts there are.
    """
    total = np.zeros(len(_EDGES) - 1, np.int64)
    for night in nights:
        for run in night.runs:
            total += np.diff(np.searchsorted(run.pixel, _EDGES))
    cells = np.flatnonzero(total)
    return dict(zip(cells.tolist(), total[cells].tolist(), strict=True))


def outlines(trigger: Trigger, skymap: SkyMap) -> list[dict[str, Any]]:
    """The contours of a trigger at `LEVELS` as GeoJSON features, of few points: for a picture of the whole sky."""
    known = _drawn.get(skymap)
    if known is None:
        known = _drawn[skymap] = contours(skymap, LEVELS)
        for feature in known:
            geometry = feature["geometry"]
            geometry["coordinates"] = [_thinned(line) for line in geometry["coordinates"]]
    about = {"trigger": trigger.id, "messenger": trigger.messenger.value}
    return [feature | {"properties": feature["properties"] | about} for feature in known]


def in_brief(found: Found) -> dict[str, Any]:
    """A `BriefDocument` of a stored revision."""
    told = json.loads(found.document)
    trigger, optical, statistics = told["trigger"], told["object"], told.get("statistics") or {}
    return {
        **{name: told[name] for name in ("id", "revision", "state", "changed_utc", "matcher")},
        "trigger": trigger["id"],
        "trigger_name": trigger["names"][0] if trigger["names"] else trigger["id"],
        "messenger": trigger["messenger"],
        **{name: optical[name] for name in ("survey", "object_id", "ra_deg", "dec_deg", "mag", "band")},
        **{name: told[name] for name in ("delta_t_s", "credible_level", "overlap")},
        **{name: statistics.get(name) for name in ("posterior", "far_per_year", "rank")},
    }


def _thinned(line: list[list[float]]) -> list[list[float]]:
    """Every so many points of a line, its ends included."""
    step = -(-len(line) // _LINE_POINTS)
    return [*line[:-1:step], line[-1]]


async def _density(request: web.Request) -> web.StreamResponse:
    nights = await read_engine(site_of(request), lambda engine: engine.index.nights())
    start_us = max((night.start_us for night in nights), default=None)
    newest = [night for night in nights if night.start_us == start_us]
    counts = await asyncio.to_thread(counts_by_cell, newest)
    told = {
        "start_utc": None if start_us is None else iso_from_us(start_us),
        "end_utc": iso_from_us(newest[0].end_us) if newest else None,
        "order": DENSITY_ORDER,
        "alerts": sum(counts.values()),
        "cells": list(counts),
        "counts": list(counts.values()),
    }
    return as_json(request, told)


async def _outlines(request: web.Request) -> web.StreamResponse:
    site, query, principal = site_of(request), asked(request, OutlineQuery), request[PRINCIPAL]

    def wanted(engine: Engine) -> list[tuple[Trigger, SkyMap]]:
        return [
            (trigger, trigger.skymap)
            for trigger in engine.triggers()
            if trigger.skymap is not None and principal.sees(trigger.private_to) and engine.book.windows(trigger.id)
        ]

    found = await read_engine(site, wanted)
    start = 0 if query.cursor is None else after_of(query.cursor)
    part = found[start : start + query.limit]
    end = start + len(part)
    following = cursor_of(end) if end < len(found) else None

    def text() -> str:
        features = [feature for one in part for feature in outlines(*one)]
        collection = {"type": "FeatureCollection", "features": features, "next": following}
        return json.dumps(collection, separators=(",", ":"))

    return as_text(request, await asyncio.to_thread(text), content_type=GEOJSON)


async def _listed(request: web.Request) -> web.StreamResponse:
    site, query, principal = site_of(request), asked(request, ListQuery), request[PRINCIPAL]
    wanted = query.filter(after=await start_of(site, query, principal), newest=query.revisions == "newest")
    page = await site.questions.coincidences(wanted, principal, query.limit)
    items = await asyncio.to_thread(lambda: [in_brief(found) for found in page.items])
    return as_json(request, {"items": items, "next": None if page.next_after is None else cursor_of(page.next_after)})


ROUTES = (
    Route(
        "GET",
        "/api/v1/density",
        "getDensity",
        _density,
        "Where the alerts of the newest night are, by HEALPix cell",
        Scope.READ,
        {HTTPStatus.OK: Answer("Counts by cell.", {JSON: DensityDocument})},
    ),
    Route(
        "GET",
        "/api/v1/contours",
        "listContours",
        _outlines,
        "Contours of 50 and 90 % of all searched triggers, of few points each",
        Scope.READ,
        {HTTPStatus.OK: Answer("GeoJSON, with `next` as cursor of the next part.", {GEOJSON: Outlines})},
        query=OutlineQuery,
    ),
    Route(
        "GET",
        "/api/v1/brief",
        "listCoincidencesInBrief",
        _listed,
        "Coincidences that pass a filter, in brief",
        Scope.READ,
        {HTTPStatus.OK: Answer("A part of the list.", {JSON: BriefList})},
        query=ListQuery,
    ),
)
