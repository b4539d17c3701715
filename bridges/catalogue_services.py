"""SIMBAD and VizieR by the CDS's cross-match, and SkyBoT: asked through astroquery, on a session with bounds.

Everything here blocks, and is to be called in a thread of its own.
"""

import math
from collections.abc import Mapping, Sequence
from contextlib import redirect_stdout
from io import BytesIO, StringIO
from itertools import chain
from typing import Any, Final

import astropy.units as u
from astropy.io import votable
from astropy.table import Table
from astropy.time import Time

from bridges.catalogue_entries import annotation_of, nothing_near
from bridges.catalogue_options import ARCSEC_PER_DEG, Columns, ServiceOptions, SkybotOptions, XMatchOptions
from bridges.delivery import shown
from bridges.service_session import BoundedSession, ServiceFailed
from schemas.annotations import Annotation, Target
from schemas.times import iso_from_us

with redirect_stdout(StringIO()):  # it prints that it lacks what is not needed here
    from astroquery.exceptions import InvalidQueryError
    from astroquery.imcce.core import SkybotClass
    from astroquery.xmatch.core import XMatchClass

MIB: Final = 1 << 20
SIMBAD_COLUMNS: Final = Columns(name="main_id", kind="main_type", redshift="redshift", values=("other_types",))
_NUMBER, _RA, _DEC = "target_number", "target_ra", "target_dec"
_ROUNDING: Final = 1.01
"""A service may round a separation up, past the radius."""
_GEOCENTRE: Final = "500"
_NONE_FOUND: Final = b"No solar system object was found"
_PLACES: Final = ((83.63, 22.01),)
"""Where `check` looks: the Crab nebula."""


class _XMatch(XMatchClass):  # type: ignore[misc]  # astroquery has no types
    """astroquery's class, which would fetch the list of all of VizieR's tables for each that is named."""

    def _prepare_sending_table(self, index: int, payload: dict[str, Any], files: Any, table: Any, *ra_dec: Any) -> None:
        if isinstance(table, str):
            payload[f"cat{index}"] = table
        else:
            super()._prepare_sending_table(index, payload, files, table, *ra_dec)


class _Skybot(SkybotClass):  # type: ignore[misc]  # as above
    """astroquery's class, which knows one address only."""

    def __init__(self, url: str) -> None:
        super().__init__()
        self._url = url

    def _request(self, method: str, url: str, **more: Any) -> Any:  # noqa: ARG002 - the address that is replaced
        return super()._request(method, self._url, **more)


class XMatchService:
    """SIMBAD or a table of VizieR.

    Attributes
    ----------
    batch, gather_s
        How many targets may be asked at once, and how long to wait for them.
    """

    def __init__(self, name: str, options: XMatchOptions) -> None:
        self.name, self._options = name, options
        self.batch, self.gather_s = options.batch, options.gather_s
        self._columns = options.columns or SIMBAD_COLUMNS
        self._service = _XMatch()
        self._service.URL = options.url
        self._service._session = session_of(options)  # noqa: SLF001 - there is no other way to bound it

    def ask(self, targets: Sequence[Target]) -> list[Annotation]:
        """The nearest entry to each target within the radius, or that there is none. One request.

        Raises
        ------
        ServiceFailed
            If there is no answer, or none that can be understood.
        """
        asked = Table(
            {
                _NUMBER: range(len(targets)),
                _RA: [target.ra_deg for target in targets],
                _DEC: [target.dec_deg for target in targets],
            }
        )
        rows = _asked(
            self._service,
            "query_async",
            "name",
            cat1=asked,
            cat2=self._options.catalogue,
            max_distance=self._options.radius_arcsec * u.arcsec,
            colRA1=_RA,
            colDec1=_DEC,
            cache=False,
        )
        nearest: dict[int, Mapping[str, Any]] = {}
        counts = [0] * len(targets)
        for row in rows:
            number, away_arcsec = _number(row, _NUMBER), _separation(row, "angDist", self._options.radius_arcsec)
            if away_arcsec is None or number not in range(len(targets)):
                continue
            counts[int(number)] += 1
            if int(number) not in nearest or away_arcsec < nearest[int(number)]["angDist"]:
                nearest[int(number)] = row
        return [
            annotation_of(self.name, float(nearest[n]["angDist"]), self._entry(nearest[n]), entries=counts[n])
            if n in nearest
            else nothing_near(self.name)
            for n in range(len(targets))
        ]

    def check(self) -> str:
        """Ask once about some place; tells a person what came."""
        self.ask([_somewhere(0)])
        return f"{self._options.catalogue} answers"

    def _entry(self, row: Mapping[str, Any]) -> dict[str, Any]:
        named = self._columns.model_dump(exclude={"ra", "dec", "values"})
        wanted = {*filter(None, named.values()), *self._columns.values}
        if self._options.columns is not None and not wanted <= row.keys():
            missing, known = ", ".join(sorted(wanted - row.keys())), ", ".join(sorted(row))
            raise ServiceFailed(f"{self._options.catalogue}: there is no column {missing}; there are {shown(known)}")
        entry: dict[str, Any] = {name: row.get(column) for name, column in named.items() if column}
        return entry | {"values": {name: row.get(name) for name in self._columns.values}}


class SkybotService:
    """Objects of the solar system.

    Attributes
    ----------
    batch, gather_s
        As of `XMatchService`: it asks about one target at a time.
    """

    batch, gather_s = 1, 0.0

    def __init__(self, name: str, options: SkybotOptions) -> None:
        self.name, self._options = name, options
        self._service = _Skybot(options.url)
        self._service._session = session_of(options)  # noqa: SLF001 - as above

    def ask(self, targets: Sequence[Target]) -> list[Annotation]:
        """The nearest known object to each target at its instant, or that there is none. A request each.

        Raises
        ------
        ServiceFailed
            If there is no answer, or none that can be understood.
        """
        return [self._ask_one(target) for target in targets]

    def check(self) -> str:
        """Ask once about some place; tells a person what came."""
        self.ask([_somewhere(1_700_000_000_000_000)])
        return "SkyBoT answers"

    def _ask_one(self, target: Target) -> Annotation:
        rows = _asked(
            self._service,
            "cone_search_async",
            "ID",
            coo=(target.ra_deg, target.dec_deg),
            rad=self._options.radius_arcsec / ARCSEC_PER_DEG * u.deg,
            epoch=Time(iso_from_us(target.time_us).removesuffix("Z"), format="isot", scale="utc"),
            location=self._options.observatories.get(target.survey, _GEOCENTRE),
            position_error=self._options.position_error_arcsec,
            cache=False,
        )
        near = [
            (away_arcsec, row)
            for row in rows
            if (away_arcsec := _separation(row, "angdist", self._options.radius_arcsec)) is not None
        ]
        if not near:
            return nothing_near(self.name)
        away_arcsec, row = min(near, key=lambda pair: pair[0])
        values = {"magV": row.get("magV"), "position_error_arcsec": row.get("errpos")}
        entry = {"name": row.get("name"), "kind": row.get("class"), "values": values}
        return annotation_of(self.name, away_arcsec, entry, entries=len(near))


def session_of(options: ServiceOptions) -> BoundedSession:
    """A session with a service's bounds."""
    return BoundedSession(timeout_s=options.timeout_s, answer_bytes=options.answer_mib * MIB)


def _asked(service: Any, method: str, called: str, **arguments: Any) -> list[dict[str, Any]]:
    """The rows of the table that a service answers with, without what is masked.

    Parameters
    ----------
    called
        Which attribute of a column names it: ``name`` or ``ID``.
    """
    try:
        body: bytes = getattr(service, method)(**arguments).content
        if _NONE_FOUND in body:
            return []
        return _rows(body, called)
    except ServiceFailed:
        raise
    except (InvalidQueryError, LookupError, OSError, TypeError, ValueError) as error:
        raise ServiceFailed(f"{service.name}: the answer cannot be read: {shown(str(error))}") from None


def _rows(body: bytes, called: str) -> list[dict[str, Any]]:
    answer = votable.parse(BytesIO(body), verify="ignore")
    for told in chain(answer.infos, *(resource.infos for resource in answer.resources)):
        if told.name == "QUERY_STATUS" and str(told.value).upper() == "ERROR":
            raise ServiceFailed(f"the service tells an error: {shown(str(told.content or ''))}")
    table = answer.get_first_table()
    names = [getattr(known, called) for known in table.fields]
    return [
        {name: value for name, value in zip(names, row, strict=True) if value is not None}
        for row in table.array.tolist()
    ]


def _number(row: Mapping[str, Any], name: str) -> float:
    try:
        return float(row.get(name, math.nan))
    except (TypeError, ValueError):
        return math.nan


def _separation(row: Mapping[str, Any], name: str, radius_arcsec: float) -> float | None:
    """How far an entry is; None if that is not told, or farther than was asked."""
    away_arcsec = _number(row, name)
    return away_arcsec if 0 <= away_arcsec <= radius_arcsec * _ROUNDING else None


def _somewhere(time_us: int) -> Target:
    ((ra_deg, dec_deg),) = _PLACES
    return Target("", "", ra_deg, dec_deg, time_us)
