import math

import pytest

from matchers.neighbourhood import FROM_PACKET, Neighbourhood, packet_annotations
from schemas.annotations import Annotation, Answer, Target
from tests.matchers.made import T0, alerts_of

ROW = {"id": 1, "obj": "a", "t": T0, "ra": 10, "dec": 20}


def annotated(survey="ztf", **columns):
    unknown = dict.fromkeys(("gaia_arcsec", "ps1_arcsec", "solar_system_arcsec", "star_galaxy"), math.nan)
    return packet_annotations(alerts_of([ROW | unknown, ROW | unknown | columns], survey), 1)


def test_a_packet_tells_its_neighbours_in_its_own_numbers():
    gaia, ps1, moving = annotated(gaia_arcsec=5.1, ps1_arcsec=0.3, star_galaxy=0.9)
    assert gaia == Annotation("gaia", Answer.FOUND, separation_arcsec=5.1, values=FROM_PACKET)
    assert ps1 == Annotation("ps1", Answer.FOUND, separation_arcsec=0.3, star_probability=0.9, values=FROM_PACKET)
    assert moving == Annotation("solar_system", Answer.NONE, values=FROM_PACKET)


def test_a_score_is_of_the_pan_starrs_source_only():
    assert [found.star_probability for found in annotated(gaia_arcsec=1.0, star_galaxy=0.9)] == [None] * 3
    assert annotated(ps1_arcsec=1.0)[1].star_probability is None


@pytest.mark.parametrize(("survey", "told"), [("lsst", ["solar_system"]), ("elasticc", []), ("another", [])])
def test_what_a_survey_does_not_tell_is_left_out(survey, told):
    assert [found.catalogue for found in annotated(survey)] == told


def test_a_moving_object_is_at_its_own_place():
    (moving,) = annotated("lsst", solar_system_arcsec=0.0)
    assert (moving.catalogue, moving.answer, moving.separation_arcsec) == ("solar_system", Answer.FOUND, 0.0)


QSO = Annotation("simbad", Answer.FOUND, "3C 273", 0.4, "QSO", redshift=0.158)
PENDING, FAILED, NONE = (Annotation("simbad", answer) for answer in (Answer.PENDING, Answer.FAILED, Answer.NONE))
GALAXY = Annotation("glade", Answer.FOUND, "NGC 1", 3.0, distance_mpc=60.0)


def test_catalogues_at_hand_are_asked_with_what_services_answered():
    asked = []

    def look_up(matcher, targets):
        asked.append((matcher, [target.object_id for target in targets]))
        return [(PENDING, GALAXY) if target.dec_deg > 0 else () for target in targets]

    known = Neighbourhood(look_up)
    known.put("ztf", "b", (QSO,))
    targets = [
        Target("ztf", "a", 10.0, 20.0, T0),
        Target("ztf", "b", 10.0, 21.0, T0),
        Target("ztf", "c", 1.0, -1.0, T0),
    ]
    assert known.around("gw", targets) == [(GALAXY, PENDING), (GALAXY, QSO), ()]
    assert asked == [("gw", ["a", "b", "c"])]
    assert Neighbourhood().around("gw", targets) == [(), (), ()]


def test_answers_are_known_by_name_of_the_catalogue():
    known = Neighbourhood()
    assert known.known("ztf", "a") == ()
    assert known.put("ztf", "a", (QSO, GALAXY))
    assert known.known("ztf", "a") == (GALAXY, QSO)
    assert known.known("lsst", "a") == known.known("ztf", "b") == ()
    assert list(known) == [("ztf", "a")]


@pytest.mark.parametrize(
    ("said", "stands", "changed"),
    [
        ([PENDING, QSO], QSO, True),
        ([PENDING, NONE], NONE, True),
        ([PENDING, FAILED], FAILED, True),
        ([FAILED, PENDING], PENDING, True),
        ([FAILED, QSO], QSO, True),
        ([QSO, NONE], NONE, True),
        ([QSO, QSO], QSO, False),
        ([QSO, PENDING], QSO, False),
        ([NONE, FAILED], NONE, False),
    ],
)
def test_only_an_answer_replaces_an_answer(said, stands, changed):
    known = Neighbourhood()
    first, second = said
    assert known.put("ztf", "a", [first])
    assert known.put("ztf", "a", [second]) is changed
    assert known.known("ztf", "a") == (stands,)


def test_nothing_is_known_of_what_was_forgotten_or_never_answered():
    known = Neighbourhood()
    assert not known.put("ztf", "a", ())
    assert list(known) == []
    known.put("ztf", "a", (QSO,))
    known.put("ztf", "b", (QSO,))
    known.forget("ztf", ["a", "c"])
    assert list(known) == [("ztf", "b")]
