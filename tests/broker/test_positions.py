import pytest

from broker.positions import position_in_words
from schemas.densities import skymap_of
from schemas.localisation import Annuli, Annulus, Cone, Ellipse, InlineMap, Systematics
from schemas.records import Kind
from tests.matchers.made import notice_of
from tests.schemas.maps import blob, flat

MAP = flat(blob(3))


@pytest.mark.parametrize(
    ("stated", "words"),
    [
        (
            Cone(10.5, -20.25, 0.05, 0.9),
            {
                "stated": "circle of 3 arcmin around RA 10.5, Dec -20.25 deg that holds 90 %",
                "systematic_error": "none is known to be missing, none is added",
            },
        ),
        (
            Cone(10.5, -20.25, 0.0004, 0.9, Systematics.INCLUDED),
            {
                "stated": "circle of 1.44 arcsec around RA 10.5, Dec -20.25 deg that holds 90 %",
                "systematic_error": "in the stated error, as the sender says",
            },
        ),
        (
            Ellipse(10.5, -20.25, 2.0, 0.5, 30.0, 0.95),
            {
                "stated": "ellipse of 2 deg by 30 arcmin, position angle 30 deg, around RA 10.5, Dec -20.25 deg "
                "that holds 95 %",
                "systematic_error": "none is known to be missing, none is added",
            },
        ),
        (
            Annulus(10.5, -20.25, 40.0, 0.1, 0.9),
            {"stated": "ring of 40 deg +- 6 arcmin around RA 10.5, Dec -20.25 deg that holds 90 %"},
        ),
        (
            Annuli((Annulus(10.5, -20.25, 40.0, 0.1, 0.9), Annulus(80.0, 0.0, 70.0, 2.0, 0.68))),
            {
                "stated": "ring of 40 deg +- 6 arcmin around RA 10.5, Dec -20.25 deg that holds 90 % and "
                "ring of 70 deg +- 2 deg around RA 80, Dec 0 deg that holds 68 %"
            },
        ),
        (
            InlineMap(MAP),
            {
                "stated": f"sky map of {len(MAP)} bytes in the notice itself",
                "official_map": "this is the observatory's own",
            },
        ),
    ],
)
def test_what_is_stated_and_what_is_added(stated, words):
    assert position_in_words(notice_of(localisation=stated), skymap_of(stated)) == words


@pytest.mark.parametrize(
    ("systematics", "said"),
    [
        (Systematics.GBM_FLIGHT, ("GBM's flight positions", "7.52 deg for 89.7 %", "multiplied by 0.5")),
        (Systematics.GBM_FINAL, ("GBM's final positions", "3.71 deg for 90 %", "14.3 deg for the rest")),
    ],
)
def test_how_much_wider_the_systematic_error_makes_it(systematics, said):
    stated = Cone(10.5, -20.25, 1.0, 0.68, systematics)
    words = position_in_words(notice_of(localisation=stated), skymap_of(stated))["systematic_error"]
    assert all(part in words for part in said)
    wider = float(words.partition("together 68 % lie within ")[2].removesuffix(" deg"))
    assert wider**2 > 1 + 0.8 * float(said[1].split()[0]) ** 2
    assert "together" not in position_in_words(notice_of(localisation=stated), None)["systematic_error"]


def test_a_linked_map_replaces_it():
    notice = notice_of(skymap_url="https://example.org/map.fit")
    assert position_in_words(notice, None)["official_map"].endswith(
        "as soon as it is there: https://example.org/map.fit"
    )


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({"warnings": ("odd", "no position: Dec 91 is not on the sky")}, "Dec 91 is not on the sky"),
        ({"kind": Kind.RETRACTION}, "a retraction gives no position"),
        ({"skymap_url": "https://example.org/map.fit"}, "the notice only links to a sky map"),
        ({}, "this kind of notice, or this one, gives no position of a source"),
        ({"localisation": Cone(0.0, 0.0, 200.0, 0.9)}, "what is stated cannot be used"),
    ],
)
def test_why_there_is_none(fields, why):
    assert position_in_words(notice_of(**({"localisation": None} | fields)), None)["none"] == why
