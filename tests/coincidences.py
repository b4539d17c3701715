"""Coincidences for the tests: one that looks real, and hypothesis's."""

from dataclasses import replace
from typing import Any

from hypothesis import strategies as st

from schemas.annotations import Annotation, Answer
from schemas.records import (
    Coincidence,
    Link,
    Measurement,
    ObjectSummary,
    Provenance,
    Publication,
    State,
    TriggerSummary,
)
from schemas.statistics import NO_EVIDENCE, LightCurveEvidence, Rate, SourceClass, Statistics
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
    classification={"GRB": 0.875, "SGR": 0.125},
    linked=(
        Link(
            id="lvk:S200107x",
            names=("MS200107x",),
            messenger="gravitational-wave",
            mission="LVK",
            instrument="H1 L1",
            by="time and sky",
            delta_t_s=-1.75,
            overlap=32.25,
            far_per_year=0.0625,
        ),
    ),
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
    last_non_detection_us=us_from_iso("2020-01-06T03:20:00Z"),
    annotations=(
        Annotation(
            catalogue="gaia", answer=Answer.FOUND, name="2459", separation_arcsec=7.5, values={"parallax": "0.01"}
        ),
        Annotation(
            catalogue="galaxies",
            answer=Answer.FOUND,
            name="NGC 1052",
            separation_arcsec=12.0,
            kind="galaxy",
            star_probability=0.0,
            redshift=0.005,
            distance_mpc=20.5,
            distance_err_mpc=1.5,
        ),
        Annotation(catalogue="skybot", answer=Answer.NONE),
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
    changed=("level", "light_curve"),
    evidence=LightCurveEvidence(
        rates=(Rate("g", 0.5, 0.125, 3, 1.5), Rate("r", -0.25, 0.0625, 2, 0.5)),
        decay_index=1.25,
        decay_index_err=0.375,
        colour_mag=0.375,
        colour_err_mag=0.140625,
        colour_bands="g-r",
        onset_after_s=-78282.25,
        onset_before_s=94648.25,
        log_likelihood_ratio={SourceClass.AFTERGLOW: 2.5, SourceClass.KILONOVA: 0.5, SourceClass.SUPERNOVA: -1.0},
    ),
    statistics=Statistics(
        background_per_deg2_night=0.03125,
        background_model="412 objects in 96 nights, galactic latitude 30 to 45 deg",
        observed_fraction=0.75,
        expected_chance=6.25,
        chance_probability=0.109375,
        far_per_year=25.5,
        weight=8.5,
        posterior=0.625,
        posterior_none=0.25,
        class_posteriors={SourceClass.AFTERGLOW: 0.5, SourceClass.KILONOVA: 0.09375, SourceClass.SUPERNOVA: 0.03125},
        rank=1,
        host_distance_mpc=20.5,
        credible_level_3d=0.4375,
    ),
)


def changed(*, trigger: dict[str, Any] | None = None, object: dict[str, Any] | None = None, **own: Any) -> Coincidence:  # noqa: A002
    """`COINCIDENCE` with other values: of its trigger, its object, or its own."""
    made = replace(COINCIDENCE, **own)
    return replace(
        made, trigger=replace(made.trigger, **(trigger or {})), object=replace(made.object, **(object or {}))
    )


def as_of_version(version: str, coincidence: Coincidence) -> Coincidence:
    """What an earlier version of the published form tells of a coincidence."""
    one = replace(
        coincidence,
        trigger=replace(coincidence.trigger, classification={}, linked=(), private_to=""),
        object=replace(coincidence.object, last_non_detection_us=None, annotations=()),
        changed=(),
        evidence=NO_EVIDENCE,
        statistics=None,
    )
    return replace(one, object=replace(one.object, light_curve=())) if version == "1.0" else one


_TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
_US = st.integers(us_from_iso("1970-01-01T00:00:00Z"), us_from_iso("2100-01-01T00:00:00Z"))
_FINITE = st.floats(allow_nan=False, allow_infinity=False)
_POSITIVE = st.floats(0, 1e300)
_PROBABILITIES = st.floats(0, 1)


def _maybe(values: st.SearchStrategy[float]) -> st.SearchStrategy[float | None]:
    return st.none() | values


def _by_class(values: st.SearchStrategy[float]) -> st.SearchStrategy[dict[SourceClass, float]]:
    return st.dictionaries(st.sampled_from(SourceClass), values)


def _evidence(text: st.SearchStrategy[str]) -> st.SearchStrategy[LightCurveEvidence]:
    rates = st.builds(
        Rate,
        band=text,
        mag_per_d=_FINITE,
        mag_per_d_err=_FINITE,
        points=st.integers(0, 1000),
        span_d=_POSITIVE,
    )
    numbers = ("decay_index", "decay_index_err", "colour_mag", "colour_err_mag", "onset_after_s", "onset_before_s")
    return st.builds(
        LightCurveEvidence,
        rates=st.lists(rates, max_size=2).map(tuple),
        colour_bands=text,
        log_likelihood_ratio=_by_class(_FINITE),
        **dict.fromkeys(numbers, _maybe(_FINITE)),
    )


def _statistics(text: st.SearchStrategy[str]) -> st.SearchStrategy[Statistics]:
    positive = ("background_per_deg2_night", "expected_chance", "far_per_year", "weight")
    probabilities = ("observed_fraction", "chance_probability", "posterior", "posterior_none")
    return st.builds(
        Statistics,
        background_model=text,
        class_posteriors=_by_class(_PROBABILITIES),
        rank=st.integers(1, 10_000),
        host_distance_mpc=_maybe(_FINITE),
        credible_level_3d=_maybe(_PROBABILITIES),
        **dict.fromkeys(positive, _POSITIVE),
        **dict.fromkeys(probabilities, _PROBABILITIES),
    )


def _links(text: st.SearchStrategy[str]) -> st.SearchStrategy[Link]:
    texts = st.lists(text, max_size=2).map(tuple)
    return st.builds(
        Link,
        names=texts,
        delta_t_s=_FINITE,
        overlap=_POSITIVE,
        far_per_year=_maybe(_POSITIVE),
        **dict.fromkeys(("id", "messenger", "mission", "instrument", "by"), text),
    )


def _annotations(text: st.SearchStrategy[str]) -> st.SearchStrategy[Annotation]:
    return st.builds(
        Annotation,
        answer=st.sampled_from(Answer),
        separation_arcsec=_maybe(_POSITIVE),
        star_probability=_maybe(_PROBABILITIES),
        values=st.dictionaries(text, text, max_size=2),
        **dict.fromkeys(("catalogue", "name", "kind"), text),
        **dict.fromkeys(("redshift", "distance_mpc", "distance_err_mpc"), _maybe(_FINITE)),
    )


def coincidences(text: st.SearchStrategy[str] = _TEXT) -> st.SearchStrategy[Coincidence]:
    """Any coincidence that can be published."""
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
        far_hz=_maybe(_FINITE),
        significance=_maybe(_FINITE),
        significance_unit=text,
        test=st.booleans(),
        links=st.dictionaries(text, text, max_size=3),
        classification=st.dictionaries(text, _FINITE, max_size=2),
        linked=st.lists(_links(text), max_size=2).map(tuple),
        private_to=text,
    )
    ids = st.integers(-(2**63), 2**63 - 1)
    points = st.builds(Measurement, alert_id=ids, time_us=_US, band=text, mag=_maybe(_FINITE), mag_err=_maybe(_FINITE))
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
        mag=_maybe(_FINITE),
        mag_err=_maybe(_FINITE),
        band=text,
        light_curve=st.lists(points, max_size=3).map(tuple),
        last_non_detection_us=st.none() | _US,
        annotations=st.lists(_annotations(text), max_size=2).map(tuple),
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
        delta_t_s=_FINITE,
        separation_deg=st.floats(0, 180),
        credible_level=_PROBABILITIES,
        probability_density_per_sr=_POSITIVE,
        overlap=_POSITIVE,
        area_90_deg2=_POSITIVE,
        provenance=st.builds(Provenance, software=text, config_hash=text, inputs=texts),
        changed=texts,
        evidence=_evidence(text),
        statistics=st.none() | _statistics(text),
    )


def publications() -> st.SearchStrategy[Publication]:
    """Any publication, with the survey's packet or without."""
    names = st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=8), max_size=3).map(tuple)
    return st.builds(Publication, coincidences(), names, st.none() | st.binary(max_size=40))
