"""Coincidences for the tests: one that looks real, and hypothesis's."""

from dataclasses import replace
from typing import Any

from hypothesis import strategies as st

from schemas.records import Coincidence, Measurement, ObjectSummary, Provenance, Publication, State, TriggerSummary
from schemas.times import us_from_iso

TRIGGER = TriggerSummary(
    id="fermi-gbm:600117987",
    names=("bn200107045", "GRB 200107A"),
    messenger="gamma-ray",
    mission="Fermi",
    instrument="GBM",
    time_us=us_from_iso("2020-01-07T01:04:42.25Z"),
    revision=3,
    notice_ivorn="ivo://nasa.gsfc.gcn/Fermi#GBM_Gnd_Pos_2020-01-07T01:04:42.25_600117987_46-431",
    notice_origin="2020-01.tar.gz/600117987_gnd.xml",
    localisation_model="core and tail of Fermi-GBM's ground systematics, statistical radius 3.2 deg at 68 %",
    far_hz=1.5e-9,
    significance=12.5,
    significance_unit="sigma",
    test=False,
    links={"lightcurve": "https://example.org/glg_lc_medres34_bn200107045.gif?a=1&b=2"},
)
OBJECT = ObjectSummary(
    survey="ztf",
    object_id="ZTF20aaeqmed",
    alert_ids=(1102244560015015009, 1103244560015015011),
    ra_deg=37.6801234,
    dec_deg=-8.4412345,
    first_detection_us=us_from_iso("2020-01-08T03:22:10.5Z"),
    first_match_us=us_from_iso("2020-01-08T03:22:10.5Z"),
    last_match_us=us_from_iso("2020-01-09T03:10:59.999999Z"),
    mag=19.125,
    mag_err=0.0625,
    band="g",
    light_curve=(
        Measurement(1102244560015015009, us_from_iso("2020-01-08T03:22:10.5Z"), "r", 19.5, 0.125),
        Measurement(1103244560015015011, us_from_iso("2020-01-09T03:10:59.999999Z"), "g", 19.125, 0.0625),
    ),
)
COINCIDENCE = Coincidence(
    id="grb-5b0f7c2a9d1e4f36",
    revision=2,
    state=State.UPDATED,
    reason="new_alerts",
    changed_us=us_from_iso("2020-01-09T03:10:59.999999Z"),
    matcher="grb",
    trigger=TRIGGER,
    object=OBJECT,
    delta_t_s=94648.25,
    separation_deg=2.75,
    credible_level=0.3125,
    probability_density_per_sr=12.5,
    overlap=157.07963267948966,
    area_90_deg2=201.5,
    provenance=Provenance(
        software="starcross 0.1.0",
        config_hash="0f1e2d3c4b5a6978",
        inputs=("2020-01.tar.gz/600117987_gnd.xml", "ztf_public_20200108.tar.gz/1102244560015015009.avro"),
    ),
)


def changed(*, trigger: dict[str, Any] | None = None, object: dict[str, Any] | None = None, **own: Any) -> Coincidence:  # noqa: A002
    """`COINCIDENCE` with other values: of its trigger, its object, or its own."""
    made = replace(COINCIDENCE, **own)
    return replace(
        made, trigger=replace(made.trigger, **(trigger or {})), object=replace(made.object, **(object or {}))
    )


_TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
_US = st.integers(us_from_iso("1970-01-01T00:00:00Z"), us_from_iso("2100-01-01T00:00:00Z"))
_POSITIVE = st.floats(0, 1e300)


def _maybe(values: st.SearchStrategy[float]) -> st.SearchStrategy[float | None]:
    return st.none() | values


def coincidences(text: st.SearchStrategy[str] = _TEXT) -> st.SearchStrategy[Coincidence]:
    """Any coincidence that can be published."""
    finite = st.floats(allow_nan=False, allow_infinity=False)
    texts = st.lists(text, max_size=3).map(tuple)
    triggers = st.builds(
        TriggerSummary,
        id=text,
        names=texts,
        messenger=text,
        mission=text,
        instrument=text,
        time_us=_US,
        revision=st.integers(1, 1000),
        notice_ivorn=text,
        notice_origin=text,
        localisation_model=text,
        far_hz=_maybe(finite),
        significance=_maybe(finite),
        significance_unit=text,
        test=st.booleans(),
        links=st.dictionaries(text, text, max_size=3),
    )
    ids = st.integers(-(2**63), 2**63 - 1)
    points = st.builds(Measurement, alert_id=ids, time_us=_US, band=text, mag=_maybe(finite), mag_err=_maybe(finite))
    objects = st.builds(
        ObjectSummary,
        survey=text,
        object_id=text,
        alert_ids=st.lists(ids, max_size=3).map(tuple),
        ra_deg=st.floats(0, 360),
        dec_deg=st.floats(-90, 90),
        first_detection_us=_US,
        first_match_us=_US,
        last_match_us=_US,
        mag=_maybe(finite),
        mag_err=_maybe(finite),
        band=text,
        light_curve=st.lists(points, max_size=3).map(tuple),
    )
    return st.builds(
        Coincidence,
        id=text,
        revision=st.integers(1, 1000),
        state=st.sampled_from(State),
        reason=text,
        changed_us=_US,
        matcher=text,
        trigger=triggers,
        object=objects,
        delta_t_s=finite,
        separation_deg=st.floats(0, 180),
        credible_level=st.floats(0, 1),
        probability_density_per_sr=_POSITIVE,
        overlap=_POSITIVE,
        area_90_deg2=_POSITIVE,
        provenance=st.builds(Provenance, software=text, config_hash=text, inputs=texts),
    )


def publications() -> st.SearchStrategy[Publication]:
    """Any publication, with the survey's packet or without."""
    names = st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=8), max_size=3).map(tuple)
    return st.builds(Publication, coincidences(), names, st.none() | st.binary(max_size=40))
