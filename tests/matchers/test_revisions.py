from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from matchers.revisions import Difference, Notability, RevisionOptions, of_statistics
from schemas.annotations import Annotation, Answer
from schemas.records import Coincidence
from tests.coincidences import COINCIDENCE

NOTABILITY = Notability(RevisionOptions())
STATISTICS = replace(COINCIDENCE.statistics, posterior=0.5, chance_probability=0.01, far_per_year=4.0, rank=2)
BEFORE = replace(COINCIDENCE, statistics=STATISTICS)
LINK = BEFORE.trigger.linked[0]


def of_object(**fields) -> Coincidence:
    return replace(BEFORE, object=replace(BEFORE.object, **fields))


def of_trigger(**fields) -> Coincidence:
    return replace(BEFORE, trigger=replace(BEFORE.trigger, **fields))


def worth(**fields) -> Coincidence:
    return replace(BEFORE, statistics=replace(STATISTICS, **fields))


def annotated(**fields) -> Coincidence:
    return of_object(annotations=(replace(Annotation("gaia", Answer.FOUND), **fields),))


SMALL = {
    "a numbering": of_trigger(revision=9, notice_ivorn="ivo://x/y#z", notice_origin="z", links={"more": "https://x"}),
    "a provenance": replace(BEFORE, provenance=replace(BEFORE.provenance, config_hash="other")),
    "a position": of_object(dec_deg=BEFORE.object.dec_deg + 0.9 / 3600),
    "a level": replace(BEFORE, credible_level=BEFORE.credible_level + 0.009),
    "an area": replace(BEFORE, area_90_deg2=BEFORE.area_90_deg2 * 1.24),
    "another radius": of_trigger(localisation_model=BEFORE.trigger.localisation_model.replace("3.2", "3.25")),
    "a trigger time": of_trigger(time_us=BEFORE.trigger.time_us + 900_000),
    "a class": of_trigger(classification={"GRB": 0.9, "SGR": 0.1}),
    "a rate": of_trigger(far_hz=BEFORE.trigger.far_hz * 1.9),
    "a linked rate": of_trigger(linked=(replace(LINK, overlap=LINK.overlap + 1),)),
    "a posterior": worth(posterior=0.549),
    "a chance": worth(chance_probability=0.019, far_per_year=2.1),
    "a rank": worth(rank=3),
}
NOTABLE = {
    "position": of_object(dec_deg=BEFORE.object.dec_deg + 1.1 / 3600),
    "level": replace(BEFORE, credible_level=BEFORE.credible_level + 0.011),
    "localisation": replace(BEFORE, area_90_deg2=BEFORE.area_90_deg2 / 1.3),
    "trigger_time": of_trigger(time_us=BEFORE.trigger.time_us - 1_100_000),
    "trigger_class": of_trigger(classification={"GRB": 0.8, "SGR": 0.2}),
    "significance": of_trigger(far_hz=BEFORE.trigger.far_hz / 2.1),
    "trigger": of_trigger(names=("GRB 200107B",)),
    "links": of_trigger(linked=()),
    "light_curve": of_object(alert_ids=BEFORE.object.alert_ids[:-1]),
    "onset": of_object(first_detection_us=BEFORE.object.first_detection_us - 1),
    "annotations": of_object(annotations=()),
    "posterior": worth(posterior=0.449),
    "chance": worth(chance_probability=0.0049),
    "rank": worth(rank=1),
}


@pytest.mark.parametrize("after", SMALL.values(), ids=SMALL)
def test_small_differences(after):
    assert NOTABILITY.differences(BEFORE, after) == NOTABILITY.differences(after, BEFORE) == ()


@pytest.mark.parametrize(("name", "after"), NOTABLE.items(), ids=NOTABLE)
def test_notable_differences_are_said_by_name(name, after):
    assert NOTABILITY.differences(BEFORE, after) == NOTABILITY.differences(after, BEFORE) == (name,)


def test_every_difference_has_a_case():
    assert NOTABLE.keys() == set(Difference)


@pytest.mark.parametrize(
    ("name", "after"),
    [
        ("localisation", of_trigger(localisation_model="the observatory's own map")),
        ("significance", of_trigger(significance=None)),
        ("significance", of_trigger(significance_unit="signalness")),
        ("significance", of_trigger(significance=-BEFORE.trigger.significance)),
        ("links", of_trigger(linked=(replace(LINK, by="cited"),))),
        ("links", of_trigger(linked=(replace(LINK, far_per_year=None),))),
        ("chance", worth(far_per_year=9.0)),
        ("trigger_class", of_trigger(classification={})),
    ],
)
def test_more_that_is_notable(name, after):
    assert NOTABILITY.differences(BEFORE, after) == (name,)


def test_several_are_sorted():
    after = replace(of_trigger(linked=()), credible_level=0.99, statistics=replace(STATISTICS, posterior=0.1))
    assert NOTABILITY.differences(BEFORE, after) == ("level", "links", "posterior")


def test_where_there_were_no_statistics_all_of_them_are_new():
    assert NOTABILITY.differences(replace(BEFORE, statistics=None), BEFORE) == ("chance", "posterior", "rank")
    assert NOTABILITY.differences(BEFORE, replace(BEFORE, statistics=None)) == ()


@pytest.mark.parametrize(
    ("after", "notable"),
    [
        (annotated(separation_arcsec=1.5), False),
        (annotated(values={"more": "1"}), False),
        (annotated(answer=Answer.NONE), True),
        (annotated(name="M 31"), True),
        (annotated(redshift=0.01), True),
        (annotated(distance_mpc=40.0), True),
    ],
)
def test_of_an_annotation_counts_which_entry_it_is_and_how_far_away(after, notable):
    assert NOTABILITY.differences(annotated(), after) == (("annotations",) if notable else ())


@pytest.mark.parametrize(("mag", "notable"), [(0.19, False), (-0.21, True), (None, True)])
def test_a_new_point_may_count_only_where_the_magnitude_is_another(mag, notable):
    told = Notability(RevisionOptions(light_curve=False))
    after = of_object(mag=None if mag is None else BEFORE.object.mag + mag, alert_ids=(1, 2, 3))
    assert told.differences(BEFORE, after) == (("light_curve",) if notable else ())


def test_a_rank_counts_where_it_crosses_a_border():
    ranks = [1, 2, 3, 4, 10, 11, 99]
    crossed = [
        bool(of_statistics(replace(STATISTICS, rank=one), replace(STATISTICS, rank=other), RevisionOptions()))
        for one, other in pairwise(ranks)
    ]
    assert crossed == [True, False, True, False, True, False]


UNIT = st.floats(0, 1)


@given(UNIT, UNIT, UNIT, UNIT, st.integers(1, 99), st.integers(1, 99))
def test_what_is_too_small_to_be_kept_is_too_small_to_be_published(posterior, other, chance, another, rank, last):
    one = replace(STATISTICS, posterior=posterior, chance_probability=chance, rank=rank)
    two = replace(STATISTICS, posterior=other, chance_probability=another, rank=last)
    kept = of_statistics(one, two, NOTABILITY.quiet)
    assert set(of_statistics(one, two, NOTABILITY.options)) <= set(kept)
    assert kept == of_statistics(two, one, NOTABILITY.quiet)
    assert of_statistics(one, one, RevisionOptions(posterior=0, chance_factor=1)) == ()


def test_thresholds_may_be_switched_off():
    off = RevisionOptions(posterior=1, chance_factor=1e6, ranks=())
    after = replace(STATISTICS, posterior=0.0, chance_probability=1.0, rank=99)
    assert of_statistics(STATISTICS, after, off) == ()
    assert Notability(off).quiet.ranks == ()


@pytest.mark.parametrize("given", [{"level": 2}, {"chance_factor": 0.5}, {"unknown": 1}, {"posterior": -0.1}])
def test_thresholds_that_make_no_sense_are_refused(given):
    with pytest.raises(ValidationError):
        RevisionOptions.model_validate(given)
