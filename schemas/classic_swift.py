"""Classic GCN notices of Swift, by packet type: 90 % radii, statistical only.

BAT, XRT and UVOT speak of the same trigger. The times in notices of XRT and UVOT are those of their own observations.
"""

from dataclasses import replace
from typing import Final

from schemas.notice_types import Draft, NoticeType, NoticeTypes, pointing
from schemas.voevent import VOEvent

_BAT_SIGNIFICANCE: Final = (("Image_Signif", "sigma"), ("Rate_Signif", "sigma"))
_BAT_FLOOR_DEG: Final = 3 / 60
_XRT_FLOOR_DEG: Final = 5 / 3600
_UVOT_FLOOR_DEG: Final = 1 / 3600


def _swift_bat(event: VOEvent, draft: Draft) -> None:
    if event.flag("StarTrack_Lost_Lock") or event.flag("ImTrig_during_ST_LoL"):
        draft.astrophysical = False
        draft.warnings.append("Swift's star tracker had lost its lock: neither trigger nor position can be trusted")
    elif event.flag("GRB_Identified"):
        draft.astrophysical = True
    elif event.flag("GRB_Identified") is False and event.flag("Target_in_Flt_Catalog"):
        draft.astrophysical = False
        draft.warnings.append("Swift finds no burst here but a source of its on-board catalogue")
    if event.flag("Updated_Notice"):
        draft.serial = 1


def _swift_found(event: VOEvent, draft: Draft) -> None:
    """A source in the narrow-field instruments says nothing of whether the trigger was a burst.

    While the star tracker is lost, known sources trigger BAT where the catalogue has none, and XRT finds them there: of
    31 such triggers in 27 months of notices eight had an XRT position of a source in no catalogue, five of these within
    half a degree of Cygnus X-1, Cygnus X-3, Vela X-1 (twice) and 4U 1700-37.
    """
    if event.flag("Updated_Notice"):
        draft.serial = 1


_SWIFT: Final = NoticeType(name="SWIFT", mission="Swift", namespace="swift")

_BAT_IDLE: Final = replace(
    _SWIFT, instrument="BAT", namespace="", floor_deg=_BAT_FLOOR_DEG, significance=_BAT_SIGNIFICANCE
)
"""Tests, and detections of known sources or below the threshold, which are about no trigger."""


def _swift_product(name: str, instrument: str, stage: int) -> NoticeType:
    """Light curves, spectra and images of a trigger: links, but neither a position nor the trigger's time."""
    return replace(_SWIFT, name=name, instrument=instrument, stage=stage, follows=True, positioned=False, timed=False)


SWIFT: Final[NoticeTypes] = {
    46: pointing("SWIFT_TOO_FOM", "Swift"),
    47: pointing("SWIFT_TOO_SC_SLEW", "Swift"),
    60: replace(_SWIFT, name="SWIFT_BAT_GRB_ALERT", instrument="BAT", stage=1, positioned=False),
    61: replace(
        _SWIFT,
        name="SWIFT_BAT_GRB_POS_ACK",
        instrument="BAT",
        stage=10,
        floor_deg=_BAT_FLOOR_DEG,
        significance=_BAT_SIGNIFICANCE,
        refine=_swift_bat,
    ),
    62: replace(
        _SWIFT,
        name="SWIFT_BAT_GRB_POS_NACK",
        instrument="BAT",
        stage=9,
        positioned=False,
        significance=_BAT_SIGNIFICANCE,
    ),
    63: replace(
        _SWIFT,
        name="SWIFT_BAT_GRB_LC",
        instrument="BAT",
        stage=9,
        follows=True,
        floor_deg=_BAT_FLOOR_DEG,
        refine=_swift_bat,
    ),
    64: replace(
        _SWIFT,
        name="SWIFT_BAT_SCALEDMAP",
        instrument="BAT",
        stage=9,
        follows=True,
        positioned=False,
        timed=False,
        refine=_swift_bat,
    ),
    65: pointing("SWIFT_FOM_OBS", "Swift"),
    66: pointing("SWIFT_SC_SLEW", "Swift"),
    67: replace(
        _SWIFT,
        name="SWIFT_XRT_POSITION",
        instrument="XRT",
        stage=20,
        follows=True,
        timed=False,
        floor_deg=_XRT_FLOOR_DEG,
        significance=(("Det_Signif", "sigma"),),
        refine=_swift_found,
    ),
    68: _swift_product("SWIFT_XRT_SPECTRUM", "XRT", 19),
    69: _swift_product("SWIFT_XRT_IMAGE", "XRT", 19),
    70: _swift_product("SWIFT_XRT_LC", "XRT", 19),
    71: _swift_product("SWIFT_XRT_CENTROID", "XRT", 19),
    72: _swift_product("SWIFT_UVOT_DBURST", "UVOT", 29),
    73: _swift_product("SWIFT_UVOT_FCHART", "UVOT", 29),
    76: _swift_product("SWIFT_BAT_GRB_LC_PROC", "BAT", 9),
    77: _swift_product("SWIFT_XRT_SPECTRUM_PROC", "XRT", 19),
    78: _swift_product("SWIFT_XRT_IMAGE_PROC", "XRT", 19),
    79: _swift_product("SWIFT_UVOT_DBURST_PROC", "UVOT", 29),
    80: _swift_product("SWIFT_UVOT_FCHART_PROC", "UVOT", 29),
    81: replace(
        _SWIFT,
        name="SWIFT_UVOT_POS",
        instrument="UVOT",
        stage=30,
        follows=True,
        timed=False,
        floor_deg=_UVOT_FLOOR_DEG,
        refine=_swift_found,
    ),
    82: replace(_BAT_IDLE, name="SWIFT_BAT_GRB_POS_TEST"),
    83: pointing("SWIFT_POINTDIR", "Swift"),
    84: replace(
        _SWIFT,
        name="SWIFT_BAT_TRANS",
        instrument="BAT",
        stage=10,
        floor_deg=_BAT_FLOOR_DEG,
        significance=_BAT_SIGNIFICANCE,
        refine=_swift_bat,
    ),
    85: _swift_product("SWIFT_XRT_THRESHPIX", "XRT", 19),
    86: _swift_product("SWIFT_XRT_THRESHPIX_PROC", "XRT", 19),
    87: _swift_product("SWIFT_XRT_SPER", "XRT", 19),
    88: _swift_product("SWIFT_XRT_SPER_PROC", "XRT", 19),
    89: _swift_product("SWIFT_UVOT_POS_NACK", "UVOT", 29),
    97: replace(
        _SWIFT,
        name="SWIFT_BAT_QL_POS",
        instrument="BAT",
        stage=5,
        floor_deg=_BAT_FLOOR_DEG,
        significance=_BAT_SIGNIFICANCE,
        refine=_swift_bat,
    ),
    98: replace(_BAT_IDLE, name="SWIFT_BAT_SUBTHRESHOLD_POS"),
    99: replace(_BAT_IDLE, name="SWIFT_BAT_SLEW_POS"),
    103: pointing("SWIFT_ACTUAL_POINTDIR", "Swift"),
    133: replace(_BAT_IDLE, name="SWIFT_BAT_MONITOR"),
    140: replace(_BAT_IDLE, name="SWIFT_BAT_SUBSUB"),
    141: replace(_BAT_IDLE, name="SWIFT_BAT_KNOWN_SRC"),
}
