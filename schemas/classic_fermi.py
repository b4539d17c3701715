"""Classic GCN notices of Fermi, by packet type.

GBM states 68 % radii without its systematic error, which differs from flight to ground to final positions; LAT states
90 %.
"""

import re
from collections.abc import Iterable
from dataclasses import replace
from typing import Final

from schemas.localisation import Systematics
from schemas.notice_types import Draft, NoticeType, NoticeTypes, pointing
from schemas.times import US_PER_S, us_from_iso
from schemas.voevent import VOEvent

GBM_CLASSES: Final = {
    0: "ERROR",
    1: "UNRELIABLE_LOCATION",
    2: "LOCAL_PARTICLES",
    3: "BELOW_HORIZON",
    4: "GRB",
    5: "GENERIC_SGR",
    6: "GENERIC_TRANSIENT",
    7: "DISTANT_PARTICLES",
    8: "SOLAR_FLARE",
    9: "CYGNUS_X1",
    10: "SGR_1806_20",
    11: "GROJ_0422_32",
    19: "TGF",
}
"""Classes of GBM's flight software by number, called as in the JSON form of the same notices."""

GBM_NO_BURST: Final = frozenset(
    {
        "LOCAL_PARTICLES",
        "BELOW_HORIZON",
        "GENERIC_SGR",
        "DISTANT_PARTICLES",
        "SOLAR_FLARE",
        "CYGNUS_X1",
        "SGR_1806_20",
        "GROJ_0422_32",
        "TGF",
    }
)
GBM_NO_BURST_PROBABILITY: Final = 0.9
"""From this probability on a class other than GRB is taken as a statement that the trigger is no burst.

It can be wrong: of 290 such triggers in 27 months of notices 7 got a final position all the same. A final position,
which is made for bursts only, is then the later statement that it is one.
"""

_BN_NAME: Final = re.compile(r"bn\d{9}", re.ASCII)
_TRIGGER_NUMBER: Final = re.compile(r"\d{9,10}", re.ASCII)
_MISSION_EPOCH_US: Final = us_from_iso("2001-01-01T00:00:00Z")
_BURST_NAME_STEP_S: Final = 86.4
_CLOCKS_APART_S: Final = 10.0
"""Mission time counts the leap seconds since 2001, five so far, and numbers are cut to whole seconds."""
_GBM_PRODUCT: Final = re.compile(r"(https?://.+/)glg_(?:locplot_all|lc_medres34)_(bn\d{9})(\w*)\.(?:png|gif)")


def is_burst_name_of(name: str, trigger_number: str) -> bool:
    """Whether a burst's name, bnYYMMDDfff, can be that of the trigger with this number.

    Both are times: the number counts seconds since 2001, the name has the day in thousandths. Notices with links to the
    products of another burst occur.

    Examples
    --------
    >>> is_burst_name_of("bn200107810", "600117987"), is_burst_name_of("bn180524416", "548841234")
    (True, False)
    """
    if not _BN_NAME.fullmatch(name) or not _TRIGGER_NUMBER.fullmatch(trigger_number):
        return False
    try:
        day_us = us_from_iso(f"20{name[2:4]}-{name[4:6]}-{name[6:8]}T00:00:00Z")
    except ValueError:
        return False
    named_s = (day_us - _MISSION_EPOCH_US) / US_PER_S + int(name[8:]) * _BURST_NAME_STEP_S
    return abs(named_s - int(trigger_number)) <= _BURST_NAME_STEP_S + _CLOCKS_APART_S


def gbm_aliases(trigger_id: str, names: Iterable[str]) -> tuple[str, ...]:
    """The further ids of a trigger of GBM, of those of its names that can be; none of any other trigger."""
    namespace, _, number = trigger_id.partition(":")
    if namespace != _GBM.namespace:
        return ()
    return tuple(f"{namespace}:{name}" for name in names if is_burst_name_of(name, number))


def _gbm_names(event: VOEvent, draft: Draft) -> None:
    """The burst's name stands in the links to its products only."""
    for link in ("LightCurve_URL", "LocationMap_URL"):
        if found := _BN_NAME.search(event.values.get(link, "")):
            if is_burst_name_of(found[0], draft.ident or ""):
                draft.names.append(found[0])
                draft.aliases.append(found[0])
            else:
                draft.warnings.append(f"{link} is of {found[0]}, which is no name of trigger {draft.ident}")
            return


def _gbm_flight(event: VOEvent, draft: Draft) -> None:
    _gbm_names(event, draft)
    for index, percent in (
        ("Most_Likely_Index", "Most_Likely_Prob"),
        ("Sec_Most_Likely_Index", "Sec_Most_Likely_Prob"),
    ):
        number, probability = event.number(index), event.number(percent)
        if number is None or probability is None or not 0 < probability <= 100:  # noqa: PLR2004 - percent
            continue
        name = GBM_CLASSES.get(int(number), f"CLASS_{int(number)}")
        draft.classification.setdefault(name, probability / 100)
        if index == "Sec_Most_Likely_Index":
            continue
        if name == "GRB":
            draft.astrophysical = True
        elif name in GBM_NO_BURST and probability / 100 >= GBM_NO_BURST_PROBABILITY:
            draft.astrophysical = False
        elif name == "UNRELIABLE_LOCATION":
            draft.warnings.append("the flight software calls this location unreliable")


def _gbm_ground(event: VOEvent, draft: Draft) -> None:
    """The HEALPix map lies beside the plot of the position, and beside the light curve, under a name that follows.

    Ground positions link to the light curve alone; their JSON form links to that very map.
    """
    _gbm_names(event, draft)
    for link in ("LocationMap_URL", "LightCurve_URL"):
        if found := _GBM_PRODUCT.fullmatch(event.values.get(link, "")):
            draft.skymap_url = f"{found[1]}glg_healpix_all_{found[2]}{found[3]}.fit"
            return


def _gbm_final(event: VOEvent, draft: Draft) -> None:
    _gbm_ground(event, draft)
    draft.astrophysical = True


def _gbm_subthreshold(event: VOEvent, draft: Draft) -> None:
    draft.skymap_url = event.values.get("HealPix_URL") or None


# Within a stage the time of issue gives the order, in the classic and the JSON form alike: the JSON form has no number,
# and Sequence_Num begins anew with the second ground algorithm (58, then 0, 1, 2), whose positions are later, better.
_GBM: Final = NoticeType(name="FERMI_GBM", mission="Fermi", instrument="GBM", namespace="fermi-gbm", containment=0.68)
_LAT: Final = NoticeType(
    name="FERMI_LAT", mission="Fermi", instrument="LAT", namespace="fermi-lat", serial_params=("Record_Num",)
)
_LAT_FLOOR_DEG: Final = 0.1

FERMI: Final[NoticeTypes] = {
    110: replace(
        _GBM, name="FERMI_GBM_ALERT", stage=10, systematics=Systematics.GBM_FLIGHT, positioned=False, refine=_gbm_names
    ),
    111: replace(
        _GBM,
        name="FERMI_GBM_FLT_POS",
        stage=20,
        systematics=Systematics.GBM_FLIGHT,
        significance=(("Data_Signif", "sigma"),),
        refine=_gbm_flight,
    ),
    112: replace(
        _GBM,
        name="FERMI_GBM_GND_POS",
        stage=30,
        systematics=Systematics.GBM_GROUND,
        significance=(("Burst_Signif", "sigma"),),
        refine=_gbm_ground,
    ),
    115: replace(
        _GBM, name="FERMI_GBM_FIN_POS", stage=40, systematics=Systematics.GBM_FINAL, follows=True, refine=_gbm_final
    ),
    119: replace(_GBM, name="FERMI_GBM_POS_TEST", namespace="", systematics=Systematics.GBM_FLIGHT),
    120: replace(_LAT, name="FERMI_LAT_POS_INI", stage=10, significance=(("Image_Test_Stat", "test statistic"),)),
    121: replace(
        _LAT, name="FERMI_LAT_POS_UPD", stage=20, follows=True, significance=(("Image_Test_Stat", "test statistic"),)
    ),
    122: replace(
        _LAT, name="FERMI_LAT_POS_DIAG", stage=15, follows=True, significance=(("Image_Test_Stat", "test statistic"),)
    ),
    123: replace(_LAT, name="FERMI_LAT_TRANS", stage=10, significance=(("Signif", "sigma"),)),
    124: replace(_LAT, name="FERMI_LAT_POS_TEST", namespace=""),
    # Its Signif is some 50,000, of a unit that is stated nowhere.
    125: replace(_LAT, name="FERMI_LAT_MONITOR", namespace="", floor_deg=_LAT_FLOOR_DEG),
    126: pointing("FERMI_SC_SLEW", "Fermi"),
    127: replace(_LAT, name="FERMI_LAT_GND", stage=30, follows=True, significance=(("Signif", "sigma"),)),
    128: replace(_LAT, name="FERMI_LAT_OFFLINE", stage=40, significance=(("Trigger_Signif", "sigma"),)),
    129: pointing("FERMI_POINTDIR", "Fermi"),
    131: NoticeType(
        name="FERMI_GBM_SUBTHRESH",
        mission="Fermi",
        instrument="GBM",
        namespace="fermi-gbm-subthreshold",
        id_params=("Trans_Num",),
        containment=0.68,
        systematics=Systematics.GBM_GROUND,
        assumed=True,
        significance=(("Reliability", "reliability"),),
        refine=_gbm_subthreshold,
    ),
    146: replace(
        _GBM,
        name="FERMI_GBM_FIN_POS_INTERNAL",
        stage=39,
        systematics=Systematics.GBM_FINAL,
        follows=True,
        refine=_gbm_final,
    ),
}
