"""Classic GCN notices of INTEGRAL, MAXI, AGILE, CALET, GECAM, Konus-Wind, the IPN and MOA, by packet type.

MAXI states 90 % radii with the systematic error in (GCN's page on MAXI); a kind whose containment is stated nowhere is
``assumed``.
"""

from dataclasses import replace
from typing import Final

from schemas.localisation import Systematics
from schemas.notice_types import Draft, NoticeType, NoticeTypes, pointing
from schemas.records import Messenger
from schemas.voevent import VOEvent

_INTEGRAL_ID_BITS: Final = 16
_WORD_BITS: Final = 32
_NO_BURST_SOURCES: Final = frozenset({"SFLARE", "PARTICLE", "PARTICLES", "TGF", "KNOWN_SOURCE"})
_MOA_FLOOR_DEG: Final = 2 / 3600


def _integral(event: VOEvent, draft: Draft) -> None:
    """TrigID is the trigger's number and, in the bits above 16, the number of the notice about it."""
    trigger = event.number("TrigID")
    if trigger is not None and 1 << _INTEGRAL_ID_BITS <= trigger < 1 << _WORD_BITS and draft.ident:
        number = int(trigger)
        draft.ident = str(number & ((1 << _INTEGRAL_ID_BITS) - 1))
        draft.serial = number >> _INTEGRAL_ID_BITS
    error = event.number("Time_Error")
    draft.time_error_s = error if error and error > 0 else None


def _gecam(event: VOEvent, draft: Draft) -> None:
    """The satellites of GECAM count their triggers each for itself."""
    if draft.ident:
        draft.ident = event.values.get("MISSION", "") + draft.ident
    source = event.values.get("SRC_CLASS", "")
    if source in _NO_BURST_SOURCES:
        draft.astrophysical = False
        draft.warnings.append(f"the source class is {source}")
    elif source == "GRB":
        draft.astrophysical = True


def _maxi_known(event: VOEvent, draft: Draft) -> None:
    if name := event.values.get("Source_Name", "").strip():
        draft.names.append(name)


_INTEGRAL: Final = NoticeType(
    name="INTEGRAL",
    mission="INTEGRAL",
    instrument="IBIS",
    namespace="integral",
    assumed=True,
    significance=(("Inten_Sigma", "sigma"),),
    refine=_integral,
)
_AGILE: Final = NoticeType(name="AGILE", mission="AGILE", instrument="SuperAGILE", namespace="agile", assumed=True)
_MAXI: Final = NoticeType(
    name="MAXI",
    mission="MAXI",
    instrument="GSC",
    messenger=Messenger.X_RAY,
    namespace="maxi",
    systematics=Systematics.INCLUDED,
    blank_origin=True,
)
_CALET: Final = NoticeType(
    name="CALET",
    mission="CALET",
    instrument="GBM",
    namespace="calet",
    positioned=False,
    significance=(("SIGNIFICANCE", "sigma"),),
)
_GECAM: Final = NoticeType(
    name="GECAM",
    mission="GECAM",
    namespace="gecam",
    id_params=("Trigger_Number",),
    containment=0.68,
    assumed=True,
    significance=(("TRIGGER_SIGNIF", "sigma"),),
    refine=_gecam,
)


GAMMA: Final[NoticeTypes] = {
    2: NoticeType(name="TEST_COORDS", mission="GCN", assumed=True),
    31: NoticeType(name="IPN_RAW", mission="IPN", namespace="ipn", positioned=False),
    44: NoticeType(name="HETE_TEST", mission="HETE", assumed=True),
    45: NoticeType(name="GRB_COUNTERPART", mission="COUNTERPART", assumed=True),
    51: pointing("INTEGRAL_POINTDIR", "INTEGRAL"),
    52: NoticeType(
        name="INTEGRAL_SPIACS",
        mission="INTEGRAL",
        instrument="SPI-ACS",
        namespace="integral-spiacs",
        positioned=False,
        significance=(("Inten_Sigma", "sigma"),),
        refine=_integral,
    ),
    53: replace(_INTEGRAL, name="INTEGRAL_WAKEUP"),
    54: replace(_INTEGRAL, name="INTEGRAL_REFINED", follows=True),
    55: replace(_INTEGRAL, name="INTEGRAL_OFFLINE"),
    56: replace(_INTEGRAL, name="INTEGRAL_WEAK"),
    59: NoticeType(name="KONUS_LC", mission="Konus-Wind", namespace="konus", positioned=False),
    100: replace(_AGILE, name="AGILE_GRB_WAKEUP"),
    101: replace(_AGILE, name="AGILE_GRB_GROUND", stage=20),
    102: replace(_AGILE, name="AGILE_GRB_REFINED", stage=30),
    105: replace(
        _AGILE, name="AGILE_MCAL_ALERT", instrument="MCAL", positioned=False, significance=(("grb_signif", "sigma"),)
    ),
    109: replace(_AGILE, name="AGILE_GRB_POS_TEST", namespace=""),
    134: replace(_MAXI, name="MAXI_UNKNOWN"),
    135: replace(_MAXI, name="MAXI_KNOWN", refine=_maxi_known),
    136: replace(_MAXI, name="MAXI_TEST", namespace=""),
    139: NoticeType(
        name="MOA",
        mission="MOA",
        messenger=Messenger.OPTICAL,
        namespace="moa",
        assumed=True,
        floor_deg=_MOA_FLOOR_DEG,
    ),
    148: NoticeType(name="SUZAKU_LC", mission="Suzaku", instrument="WAM", namespace="suzaku", positioned=False),
    160: replace(_CALET, name="CALET_GBM_FLT_LC"),
    161: replace(_CALET, name="CALET_GBM_GND_LC", stage=20),
    188: replace(_GECAM, name="GECAM_FLT", stage=20),
    189: replace(_GECAM, name="GECAM_GND", stage=30),
}
