"""The Transient Name Server, by its API; see https://www.wis-tns.org/content/tns-getting-started.

Everything here blocks, and is to be called in a thread of its own.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np

from bridges.catalogue_entries import annotation_of, nothing_near
from bridges.catalogue_options import ARCSEC_PER_DEG, TnsOptions
from bridges.catalogue_services import session_of
from bridges.delivery import shown
from bridges.service_session import ServiceFailed
from schemas.annotations import Annotation, Target
from schemas.bounded_json import JsonLimits, parse_json_object
from schemas.errors import BadInput
from schemas.pixels import separation_deg

_MOST_LOOKED_AT: Final = 3
"""Of so many objects within the radius the details are asked."""
_LIMITS: Final = JsonLimits(depth=16, values=50_000)
_OK: Final = 200


class TnsService:
    """Transients that were reported.

    Attributes
    ----------
    batch, gather_s
        It asks about one target at a time.

    Raises
    ------
    ConfigurationError
        If there is no API key.
    """

    batch, gather_s = 1, 0.0

    def __init__(self, name: str, options: TnsOptions, folder: Path) -> None:
        self.name, self._options = name, options
        self._api_key = options.api_key.read(folder)
        self._session = session_of(options)
        marker = {"tns_id": options.bot_id, "type": "bot", "name": options.bot_name}
        self._session.headers["User-Agent"] = f"tns_marker{json.dumps(marker)}"

    def ask(self, targets: Sequence[Target]) -> list[Annotation]:
        """The nearest reported transient to each target, or that there is none. A few requests each.

        Raises
        ------
        ServiceFailed
            If there is no answer, or none that can be understood.
        """
        return [self._ask_one(target) for target in targets]

    def check(self) -> str:
        """Search some place once; tells a person what came."""
        self.ask([Target("", "", 0.0, 0.0, 0)])
        return "TNS answers, and takes the key"

    def _ask_one(self, target: Target) -> Annotation:
        asked = {"ra": target.ra_deg, "dec": target.dec_deg, "radius": self._options.radius_arcsec, "units": "arcsec"}
        found = self._reply("search", asked)
        names = [entry.get("objname") for entry in found if isinstance(entry, Mapping)]
        names = [name for name in names if isinstance(name, str) and name]
        near = []
        for name in names[:_MOST_LOOKED_AT]:
            for details in self._reply("object", {"objname": name, "photometry": "0", "spectra": "0"}):
                away_arcsec = _away_arcsec(details, target)
                if away_arcsec is not None and away_arcsec <= self._options.radius_arcsec:
                    near.append((away_arcsec, name, details))
        if not near:
            return nothing_near(self.name)
        away_arcsec, name, details = min(near, key=lambda found: found[:2])
        prefix, kind = details.get("name_prefix"), details.get("object_type")
        entry = {
            "name": f"{prefix} {name}" if isinstance(prefix, str) else name,
            "kind": kind.get("name") if isinstance(kind, Mapping) else kind,
            "redshift": details.get("redshift"),
            "values": {"discoverydate": details.get("discoverydate"), "hostname": details.get("hostname")},
        }
        return annotation_of(self.name, away_arcsec, entry, entries=len(names))

    def _reply(self, what: str, asked: Mapping[str, Any]) -> list[Any]:
        """What the server replies, as a list: it may be one object or several, and be wrapped or not."""
        form = {"api_key": self._api_key, "data": json.dumps(asked)}
        body: bytes = self._session.post(f"{self._options.url}/{what}", data=form).content
        try:
            answer = parse_json_object(body, _LIMITS)
        except BadInput as bad:
            raise ServiceFailed(f"TNS: {bad.detail}") from None
        if answer.get("id_code", _OK) != _OK:
            raise ServiceFailed(f"TNS: {shown(str(answer.get('id_message', '')))}")
        found = answer.get("data")
        if isinstance(found, Mapping):
            found = found.get("reply", found)
        return found if isinstance(found, list) else [found] if isinstance(found, Mapping) else []


def _away_arcsec(details: Any, target: Target) -> float | None:
    """How far an object is from a target; None if its place is not told."""
    if not isinstance(details, Mapping):
        return None
    try:
        ra_deg, dec_deg = float(details.get("radeg", "")), float(details.get("decdeg", ""))
    except (TypeError, ValueError):
        return None
    away_deg = separation_deg(np.array([ra_deg]), np.array([dec_deg]), target.ra_deg, target.dec_deg)
    away_arcsec = float(away_deg[0]) * ARCSEC_PER_DEG
    return away_arcsec if away_arcsec >= 0 else None
