"""``starcross inspect``: what is understood of any packet, notice or sky map, and what is wrong with a bad one."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from bridges.files import FoundFile, read_files
from broker.closeup import draw_localisation
from broker.config import Config
from broker.positions import position_in_words
from broker.reader import Reader
from broker.skyplot import draw_sky
from schemas.densities import skymap_of
from schemas.errors import BadSkyMap
from schemas.localisation import InlineMap
from schemas.reading import Reading
from schemas.records import Alerts, Kind, Message, Messenger, Notice, Rejection, Role, Trigger
from schemas.sky import SkyMap
from schemas.skymap import read_skymap
from schemas.survey import quality_columns
from schemas.times import iso_from_us

MIB = 1 << 20
MOST_ALERTS_SHOWN = 20
QUALITY = (
    "reliability",
    "bad_pixels",
    "ap_minus_psf_mag",
    "gaia_arcsec",
    "ps1_arcsec",
    "star_galaxy",
    "solar_system_arcsec",
)


@dataclass(slots=True)
class Findings:
    """What was found in one input, as plain values for JSON, and what can be drawn of it.

    Attributes
    ----------
    document
        ``origin``, ``format``, and ``alerts``, ``notices``, ``skymaps``, ``rejected``: lists of plain values.
    alerts, maps
        The same as columns, and as triggers with a density.
    notices
        The same with the density of the position that each states.
    map_origins
        Where sky maps were found.
    """

    document: dict[str, Any]
    alerts: list[Alerts] = field(default_factory=list)
    maps: list[Trigger] = field(default_factory=list)
    notices: list[tuple[Notice, SkyMap | None]] = field(default_factory=list)
    map_origins: list[str] = field(default_factory=list)

    def without_document(self) -> "Findings":
        """What is drawn and compared with other inputs; the document is shown by then, and large."""
        return replace(self, document={})


def inspect_files(files: Sequence[FoundFile], config: Config, reader: Reader) -> Iterator[Findings]:
    """Read each input and say everything that is understood of it. Nothing in an input makes this fail."""
    for message in read_files(files, bytes_max=config.replay.message_mib * MIB):
        if isinstance(message, Rejection):
            yield Findings({"origin": message.origin, "format": "unreadable", "rejected": [_rejection(message)]})
        else:
            yield _findings(message, reader.read_one(message), config)


def _findings(message: Message, reading: Reading, config: Config) -> Findings:
    found = Findings({"origin": message.origin, "format": reading.format, "bytes": len(message.body)})
    rejected = list(reading.rejections)
    alerts = [row for part in reading.alerts for row in _alert_rows(part, config)]
    notices = []
    for notice in reading.notices:
        skymap = None
        if notice.localisation is not None:
            try:
                skymap = skymap_of(notice.localisation)
            except BadSkyMap as error:
                rejected.append(Rejection(message.origin, error.reason, error.detail))
            else:
                found.maps.append(_drawable(notice.trigger_id or notice.notice_type, notice, skymap))
        notices.append(_notice(notice, skymap))
        found.notices.append((notice, skymap))
    skymaps = []
    for raw in reading.skymaps:
        try:
            skymap = read_skymap(raw.body)
        except BadSkyMap as error:
            rejected.append(Rejection(raw.origin, error.reason, error.detail))
        else:
            skymaps.append({"header": _plain(asdict(raw.header)), **_skymap(skymap)})
            found.maps.append(_drawable(raw.header.object_name or raw.origin, _notice_of_map(message), skymap))
    found.alerts = list(reading.alerts)
    found.map_origins = [raw.origin for raw in reading.skymaps]
    parts = {
        "alerts": alerts,
        "notices": notices,
        "skymaps": skymaps,
        "rejected": [_rejection(rejection) for rejection in rejected],
    }
    found.document |= {name: part for name, part in parts.items() if part}
    return found


def _drawable(name: str, notice: Notice, skymap: SkyMap) -> Trigger:
    return Trigger(
        id=name,
        messenger=notice.messenger,
        mission=notice.mission,
        instrument=notice.instrument,
        time_us=notice.trigger_time_us or 0,
        time_error_s=None,
        revision=1,
        notice=notice,
        skymap=skymap,
    )


def _notice_of_map(message: Message) -> Notice:
    """A bare sky map speaks of a position and of nothing else."""
    return Notice(
        message=message,
        notice_type="sky map",
        ivorn="",
        trigger_id=None,
        messenger=Messenger.UNKNOWN,
        mission="",
        instrument="",
        role=Role.OBSERVATION,
        kind=Kind.INITIAL,
    )


def draw_findings(path: Path, findings: Sequence[Findings]) -> None:
    """Draw what was read: one localisation close up, several, or none, on the whole sky."""
    maps = [trigger for found in findings for trigger in found.maps]
    alerts = [part for found in findings for part in found.alerts]
    if len(maps) == 1:
        points = [
            (str(name), float(ra_deg), float(dec_deg))
            for part in alerts
            for name, ra_deg, dec_deg in zip(part.object_id, part.ra_deg, part.dec_deg, strict=True)
        ]
        draw_localisation(path, maps[0], points, title=maps[0].id)
        return
    ra_deg = np.concatenate([np.empty(0), *(part.ra_deg for part in alerts)])
    dec_deg = np.concatenate([np.empty(0), *(part.dec_deg for part in alerts)])
    draw_sky(path, (ra_deg, dec_deg), maps, [], title="Starcross inspect")


def _rejection(rejection: Rejection) -> dict[str, str]:
    return {"reason": str(rejection.reason), "detail": rejection.detail}


def _alert_rows(alerts: Alerts, config: Config) -> Iterator[dict[str, Any]]:
    """Each alert with its columns and the first quality cut that it fails."""
    cuts, carried = config.cuts_of(alerts.survey), quality_columns(alerts.survey)
    for row in range(len(alerts)):
        one = alerts.take(slice(row, row + 1))
        keep, failed = cuts.apply(one, carried)
        yield {
            "survey": one.survey,
            "alert_id": int(one.alert_id[0]),
            "object_id": str(one.object_id[0]),
            "time_utc": iso_from_us(one.time_us[0]),
            "ra_deg": float(one.ra_deg[0]),
            "dec_deg": float(one.dec_deg[0]),
            "pixel": int(one.pixel[0]),
            "mag": _number(one.mag[0]),
            "mag_err": _number(one.mag_err[0]),
            "band": str(one.band[0]),
            "first_detection_utc": iso_from_us(one.first_detection_us[0]),
            **{name: _number(getattr(one, name)[0]) for name in QUALITY if name in carried},
            "cut_by": None if keep[0] else next(name for name, count in failed.items() if count),
        }


def _notice(notice: Notice, skymap: SkyMap | None) -> dict[str, Any]:
    """What matters most first: whose it is, when and where; everything else that was read comes last."""
    return {
        **_parts(
            notice, "notice_type", "trigger_id", "aliases", "related", "names", "messenger", "mission", "instrument",
            "role", "kind",
        ),
        "trigger_time_utc": _instant(notice.trigger_time_us),
        "trigger_time_error_s": notice.trigger_time_error_s,
        "issued_utc": _instant(notice.issued_us),
        "position": position_in_words(notice, skymap),
        "localisation": _localisation(notice),
        "skymap": None if skymap is None else _skymap(skymap),
        **_parts(
            notice, "skymap_url", "astrophysical", "classification", "significance", "significance_unit", "far_hz",
            "warnings", "ivorn", "stage", "serial",
        ),
        "citations": [_plain(asdict(citation)) for citation in notice.citations],
        **_parts(notice, "links", "params"),
    }  # fmt: skip


def _parts(notice: Notice, *names: str) -> dict[str, Any]:
    return {name: _plain(getattr(notice, name)) for name in names}


def _localisation(notice: Notice) -> dict[str, Any] | None:
    stated = notice.localisation
    if stated is None:
        return None
    values = {"bytes": len(stated.body)} if isinstance(stated, InlineMap) else _plain(asdict(stated))
    return {"type": type(stated).__name__, **values}


def _skymap(skymap: SkyMap) -> dict[str, Any]:
    return {
        "model": skymap.model,
        "area_50_deg2": skymap.area_deg2(0.5),
        "area_90_deg2": skymap.area_deg2(0.9),
        "peak_ra_deg": skymap.peak_ra_deg,
        "peak_dec_deg": skymap.peak_dec_deg,
        "cells": len(skymap.lo),
        "has_distance": skymap.distance is not None,
        "warnings": list(skymap.warnings),
    }


def _instant(us: int | None) -> str | None:
    return None if us is None else iso_from_us(us)


def _number(value: np.floating[Any]) -> float | None:
    return None if np.isnan(value) else round(float(value), 6)


def _plain(value: Any) -> Any:
    """The same of types that JSON has."""
    if isinstance(value, dict) or hasattr(value, "items"):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return value if value is None or isinstance(value, (bool, int, float)) else str(value)


def show(findings: Findings, console: Console) -> None:
    """Print one input's findings for a person."""
    document = findings.document
    title = Text.assemble((_shown(document["origin"]), "bold"), "  ", (_shown(document["format"]), "cyan"))
    console.print(title, soft_wrap=True)
    for rejection in document.get("rejected", ()):
        what = _shown(f"{rejection['reason']}: {rejection['detail']}")
        console.print(Text(f"  cannot be used: {what}", style="red"), soft_wrap=True)
    alerts = document.get("alerts", ())
    for alert in alerts[:MOST_ALERTS_SHOWN]:
        verdict = Text(f"cut by {alert['cut_by']}", "yellow") if alert["cut_by"] else Text("passes all cuts", "green")
        console.print(_fields("alert", alert, verdict))
    if len(alerts) > MOST_ALERTS_SHOWN:
        console.print(f"  and {len(alerts) - MOST_ALERTS_SHOWN} more alerts (--json shows all)")
    for notice in document.get("notices", ()):
        console.print(_fields("notice", notice, None if notice["trigger_id"] else Text("of no trigger", "yellow")))
    for skymap in document.get("skymaps", ()):
        console.print(_fields("sky map", skymap, None))


def _fields(what: str, values: dict[str, Any], verdict: Text | None) -> RenderableType:
    table = Table.grid(padding=(0, 2))
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in _flat(values):
        table.add_row(Text(_shown(name)), Text(_shown(value)))
    if verdict is not None:
        table.add_row("", verdict)
    return Panel(table, title=what, title_align="left", border_style="dim")


def _flat(values: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in values.items():
        if isinstance(value, dict) and value:
            yield from _flat(value, f"{prefix}{name}.")
        elif value not in (None, "", [], {}):
            yield f"{prefix}{name}", value


def _shown(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.10g}"
    if isinstance(value, list):
        return "; ".join(_shown(item) for item in value)
    if isinstance(value, dict):
        return ", ".join(f"{name} {_shown(item)}" for name, item in value.items())
    return "".join(character if character.isprintable() else "\ufffd" for character in str(value))
