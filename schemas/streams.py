"""VOEvents of those who do not send through GCN's classic types, by the beginning of their IVORN's stream."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from schemas.localisation import Cone, Ellipse
from schemas.notice_types import Draft, NoticeType
from schemas.records import Kind, Messenger
from schemas.voevent import VOEvent

_CHIME_CONTAINMENT: Final = 0.95


def _chime(event: VOEvent, draft: Draft) -> None:
    """The error ellipse lies along right ascension ("semiminor") and declination ("semimajor"), whichever is longer."""
    along_ra, along_dec = event.number("pos_error_semiminor_deg_95"), event.number("pos_error_semimajor_deg_95")
    if isinstance(draft.localisation, Cone) and along_ra and along_dec and min(along_ra, along_dec) > 0:
        draft.localisation = Ellipse(
            draft.localisation.ra_deg,
            draft.localisation.dec_deg,
            max(along_ra, along_dec),
            min(along_ra, along_dec),
            90.0 if along_ra > along_dec else 0.0,
            _CHIME_CONTAINMENT,
        )
    if name := event.values.get("known_source_name"):
        draft.names.append(name)
    if "retraction" in event.ivorn.lower():
        draft.kind = Kind.RETRACTION


def _named(_event: VOEvent, draft: Draft) -> None:
    if draft.ident:
        draft.names.append(draft.ident)


_OPTICAL: Final = NoticeType(
    name="OPTICAL",
    mission="",
    messenger=Messenger.OPTICAL,
    id_params=(),
    local_id=True,
    assumed=True,
    floor_deg=1 / 3600,
    refine=_named,
)
_GAIA: Final = replace(_OPTICAL, name="GAIA", mission="Gaia", namespace="gaia")
_CRTS: Final = replace(_OPTICAL, name="CRTS", mission="CRTS", namespace="crts", refine=None)

STREAMS: Final[Mapping[str, NoticeType]] = {
    "gaia.cam.uk/alerts": _GAIA,
    "voevent.4pisky.org/gaia": _GAIA,
    "voevent.4pisky.org/asassn": replace(
        _OPTICAL, name="ASASSN", mission="ASAS-SN", namespace="asas-sn", id_params=("id_assasn",)
    ),
    "nvo.caltech/voeventnet/catot": _CRTS,
    "nvo.caltech/voeventnet/mlsot": _CRTS,
    "nasa.gsfc.gcn/antares_alert": NoticeType(
        name="ANTARES",
        mission="ANTARES",
        messenger=Messenger.NEUTRINO,
        namespace="antares",
        id_params=(),
        local_id=True,
        assumed=True,
    ),
    "au.edu.swin/utmost": NoticeType(
        name="UTMOST_FRB",
        mission="UTMOST",
        messenger=Messenger.RADIO,
        namespace="utmost",
        id_params=(),
        local_id=True,
        assumed=True,
        significance=(("snr", "sigma"),),
    ),
    "ca.chime": NoticeType(
        name="CHIME_FRB",
        mission="CHIME",
        messenger=Messenger.RADIO,
        namespace="chime",
        id_params=("event_no",),
        radii=(("pos_error_semimajor_deg_95", _CHIME_CONTAINMENT),),
        significance=(("snr", "sigma"),),
        refine=_chime,
    ),
}
"""Keys are beginnings of `VOEvent.stream`."""
