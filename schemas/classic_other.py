"""Classic GCN notices of neutrino and gravitational-wave observatories, AMON, HAWC and SVOM, by packet type."""

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from schemas.localisation import Systematics
from schemas.notice_types import Draft, NoticeType, NoticeTypes
from schemas.records import Citation, Messenger, Role
from schemas.references import trigger_id_of
from schemas.voevent import VOEvent

SUPEREVENT_ROLES: Final[Mapping[str, Role]] = {"M": Role.MOCK, "T": Role.TEST}
"""What the first letter of a superevent's name makes of it; S is an observation."""
_MXT_R90_DEG: Final = {1: 300 / 3600, 2: 120 / 3600, 3: 60 / 3600, 4: 30 / 3600}
_QUALITY: Final = re.compile(r"_qf(\d)$")
_RETRACTED_LAST: Final = 90


def _icecube(event: VOEvent, draft: Draft) -> None:
    run, number = event.number("run_id"), event.number("event_id")
    if run is not None and number is not None:
        draft.ident = f"{int(run)}_{int(number)}"
    if name := event.values.get("event_name"):
        draft.names.append(name)
    if link := event.values.get("skymap_fits", ""):
        draft.skymap_url = link


def _amon(event: VOEvent, draft: Draft) -> None:
    """AMON_ID is run and event joined; where it is absent it is made in the same way."""
    run, number = event.number("run_id"), event.number("event_id")
    if not draft.ident and run is not None and number is not None:
        draft.ident = f"{int(run)}{int(number)}"


def _lvc(event: VOEvent, draft: Draft) -> None:
    values = event.values
    draft.names.extend([values["GraceID"]] if values.get("GraceID") else [])
    draft.instrument = values.get("Instruments", "")
    draft.skymap_url = event.group("GW_SKYMAP").get("skymap_fits") or values.get("skymap_fits") or None
    for name, text in event.group("Classification").items():
        try:
            probability = float(text)
        except ValueError:
            continue
        if 0 <= probability <= 1:
            draft.classification[name] = probability
    if external := values.get("External_Ivorn"):
        draft.citations.append(Citation(external, "associated"))
    number, observatory = values.get("External_GCN_Notice_Id", ""), values.get("External_Observatory", "")
    if other := trigger_id_of(number, observatory):
        draft.related.append(other)
    if named := SUPEREVENT_ROLES.get(values.get("GraceID", "")[:1]):
        draft.role = named
    elif event.flag("HardwareInj") and draft.role is Role.OBSERVATION:
        draft.role = Role.TEST
        draft.warnings.append("this is a hardware injection, and so a test")


def _svom(event: VOEvent, draft: Draft) -> None:
    draft.instrument = event.values.get("Instrument", "")
    if name := event.values.get("Source_Name"):
        draft.names.append(name)
    if found := _QUALITY.search(event.local_id):
        draft.serial = int(found[1])


def _mxt_floor(event: VOEvent) -> float | None:
    """The 90 % radius of the quality class, which the IVORN names."""
    found = _QUALITY.search(event.local_id)
    return _MXT_R90_DEG.get(int(found[1])) if found else None


# Error2Radius is the 90 % radius in some of these kinds and the 50 % radius in others (172, 169), or 0 (175).
_STATED_RADII: Final = (
    ("src_error_90", 0.9),
    ("src_err_90", 0.9),
    ("Src_Error90", 0.9),
    ("src_error_50", 0.5),
    ("src_err_50", 0.5),
)
_ICECUBE: Final = NoticeType(
    name="ICECUBE",
    mission="IceCube",
    messenger=Messenger.NEUTRINO,
    namespace="icecube",
    id_params=(),
    serial_params=("Rev",),
    radii=_STATED_RADII,
    significance=(("signalness", "signalness"), ("Signalness", "signalness")),
    far_per_year=True,
    refine=_icecube,
)
_LVK: Final = NoticeType(
    name="LVC",
    mission="LVK",
    messenger=Messenger.GRAVITATIONAL_WAVE,
    namespace="lvk",
    id_params=("GraceID",),
    positioned=False,
    refine=_lvc,
)
_SVOM: Final = NoticeType(
    name="SVOM",
    mission="SVOM",
    namespace="svom",
    id_params=("Burst_Id",),
    significance=(("SNR", "sigma"),),
    refine=_svom,
)
_MXT: Final = replace(_SVOM, messenger=Messenger.X_RAY, stage=30, follows=True, floor_deg=_mxt_floor)

NEUTRINO: Final[NoticeTypes] = {
    149: NoticeType(name="SNEWS", mission="SNEWS", messenger=Messenger.NEUTRINO, namespace="snews", positioned=False),
    158: replace(_ICECUBE, name="ICECUBE_HESE"),
    159: NoticeType(name="AMON_TEST", mission="AMON", assumed=True),
    169: replace(_ICECUBE, name="ICECUBE_EHE"),
    171: NoticeType(
        name="HAWC_BURST_MONITOR",
        mission="HAWC",
        namespace="hawc",
        id_params=("AMON_ID",),
        serial_params=("Rev", "rev"),
        significance=(("Pvalue", "p-value"),),
        far_per_year=True,
        radii=_STATED_RADII,
        refine=_amon,
    ),
    172: NoticeType(
        name="AMON_NU_EM_COINC",
        mission="AMON",
        messenger=Messenger.NEUTRINO,
        namespace="amon-nu-em",
        id_params=("AMON_ID", "Event_ID"),
        serial_params=("Rev",),
        far_per_year=True,
        radii=_STATED_RADII,
        refine=_amon,
    ),
    173: replace(_ICECUBE, name="ICECUBE_ASTROTRACK_GOLD", systematics=Systematics.INCLUDED),
    174: replace(_ICECUBE, name="ICECUBE_ASTROTRACK_BRONZE", systematics=Systematics.INCLUDED),
    175: NoticeType(
        name="SK_SN",
        mission="Super-Kamiokande",
        messenger=Messenger.NEUTRINO,
        namespace="superk",
        id_params=("TrigID", "Trigger_Number"),
        radii=_STATED_RADII,
    ),
    176: replace(_ICECUBE, name="ICECUBE_CASCADE", systematics=Systematics.INCLUDED),
}

GRAVITATIONAL_WAVE: Final[NoticeTypes] = {
    150: replace(_LVK, name="LVC_PRELIMINARY"),
    151: replace(_LVK, name="LVC_INITIAL"),
    152: replace(_LVK, name="LVC_UPDATE", follows=True),
    154: NoticeType(name="LVC_TEST", mission="LVK", messenger=Messenger.GRAVITATIONAL_WAVE, timed=False),
    163: replace(_LVK, name="LVC_EARLY_WARNING"),
    164: replace(_LVK, name="LVC_RETRACTION", retracts=True),
}

SVOM: Final[NoticeTypes] = {
    201: replace(_SVOM, name="SVOM_GRM_TRIGGER", stage=10, assumed=True),
    202: replace(_SVOM, name="SVOM_ECLAIRS_WAKEUP", stage=20),
    203: replace(_SVOM, name="SVOM_ECLAIRS_CATALOGUE", stage=15),
    204: replace(_SVOM, name="SVOM_ECLAIRS_SLEWING", stage=20, follows=True),
    205: replace(_SVOM, name="SVOM_ECLAIRS_NOT_SLEWING", stage=20, follows=True),
    209: replace(_MXT, name="SVOM_MXT_INITIAL"),
    210: replace(_MXT, name="SVOM_MXT_UPDATE"),
    219: replace(_SVOM, name="SVOM_RETRACTION", stage=_RETRACTED_LAST, retracts=True),
}
