from collections.abc import Sequence
from dataclasses import replace
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from matplotlib.colors import to_rgb
from matplotlib.image import imread
from numpy.typing import NDArray

from broker.globe import COLOURS
from broker.skyplot import draw_sky
from schemas.localisation import Annulus, Ellipse
from schemas.records import Coincidence, Messenger, State, Trigger
from tests.broker.skies import cone, trigger
from tests.coincidences import COINCIDENCE, changed

NONE = (np.zeros(0), np.zeros(0))
STAR = "#FFC93C"
LEGEND = 0.9
"""The lowest tenth of the picture is the legend."""


def _png(
    alerts: tuple[NDArray[np.float64], NDArray[np.float64]] = NONE,
    triggers: Sequence[Trigger] = (),
    coincidences: Sequence[Coincidence] = (),
    title: str = "",
) -> bytes:
    stream = BytesIO()
    draw_sky(stream, alerts, triggers, coincidences, title)
    return stream.getvalue()


def _of_colour(png: bytes, colour: str) -> NDArray[np.float64]:
    """Rows and columns, 0 to 1 from the upper left, of the pixels above the legend that have a colour."""
    image = np.asarray(imread(BytesIO(png)))[:, :, :3]
    image = image[: int(LEGEND * len(image))]
    where = np.argwhere(np.abs(image - np.array(to_rgb(colour))).max(axis=2) < 0.02)
    return where / np.array(image.shape[:2])


def _star(ra: float, dec: float, **own: object) -> Coincidence:
    return changed(object={"ra_deg": ra, "dec_deg": dec}, **own)


def test_an_empty_sky_can_be_drawn_and_has_its_size() -> None:
    assert np.asarray(imread(BytesIO(_png()))).shape == (1020, 1800, 4)


def test_a_region_is_drawn_in_the_colour_of_its_messenger_and_a_retracted_one_is_not() -> None:
    shown = trigger("icecube:1_2", Messenger.NEUTRINO, cone(180, 0, 10))
    gone = trigger("lvk:S1", Messenger.GRAVITATIONAL_WAVE, cone(90, 0, 10), retracted=True)
    lost = trigger("swift:1", Messenger.GAMMA_RAY)
    png = _png(triggers=[shown, gone, lost])
    found = _of_colour(png, COLOURS[Messenger.NEUTRINO])
    assert len(found) > 300
    assert not len(_of_colour(png, COLOURS[Messenger.GRAVITATIONAL_WAVE]))
    assert not len(_of_colour(png, COLOURS[Messenger.GAMMA_RAY]))


@pytest.mark.parametrize("radius", [1e-4, 0.05, 0.9])
def test_a_region_too_small_to_see_is_a_ring_at_its_place(radius: float) -> None:
    at_right = trigger("swift:1", Messenger.GAMMA_RAY, cone(90, 0, radius))
    found = _of_colour(_png(triggers=[at_right]), COLOURS[Messenger.GAMMA_RAY])
    assert len(found) > 30
    assert np.abs(found - np.array([0.49, 0.5])).max() < 0.1  # the only trigger is near the middle


def test_the_picture_is_turned_so_that_a_region_across_0_h_is_whole() -> None:
    found = _of_colour(_png(triggers=[trigger("x:1", Messenger.X_RAY, cone(0, 0, 8))]), COLOURS[Messenger.X_RAY])
    assert len(found) > 100
    assert np.abs(found[:, 1] - 0.5).max() < 0.2


def test_a_region_across_the_seam_is_seen_at_both_rims() -> None:
    crowd = [trigger(f"nu:{i}", Messenger.NEUTRINO, cone(15 * i, 0, 1)) for i in range(2, 23)]
    split = trigger("x:1", Messenger.X_RAY, cone(0, 0, 8))
    found = _of_colour(_png(triggers=[split, *crowd]), COLOURS[Messenger.X_RAY])
    assert (found[:, 1] < 0.2).sum() > 50
    assert (found[:, 1] > 0.8).sum() > 50


def test_stars_are_larger_the_better_their_place_and_withdrawn_ones_are_not_drawn() -> None:
    one = len(_of_colour(_png(coincidences=[_star(180, 0)]), STAR))
    two = _of_colour(_png(coincidences=[_star(90, 0), _star(270, 0)]), STAR)
    first, second = (two[:, 1] > 0.5).sum(), (two[:, 1] < 0.5).sum()
    assert one > first * 0.7 > second > 30
    assert not len(_of_colour(_png(coincidences=[_star(180, 0, state=State.WITHDRAWN)]), STAR))


def test_each_trigger_has_its_own_best_star() -> None:
    other = changed(trigger={"id": "swift:1"}, object={"ra_deg": 270.0, "dec_deg": 0.0})
    found = _of_colour(_png(coincidences=[_star(90, 0), other]), STAR)
    assert (found[:, 1] > 0.5).sum() == pytest.approx((found[:, 1] < 0.5).sum(), rel=0.1)


def test_few_alerts_are_points_and_many_a_shade_of_the_part_of_the_sky_that_they_cover() -> None:
    rng = np.random.default_rng(1)
    empty = np.asarray(imread(BytesIO(_png())), np.float64)
    for count in (300, 3_000, 25_000):
        alerts = rng.uniform(200, 340, count), rng.uniform(5, 60, count)  # the upper left
        image = np.asarray(imread(BytesIO(_png(alerts))), np.float64)
        darker = np.argwhere((empty - image)[100:900].sum(axis=2) > 0.15)
        assert len(darker) > count / 2
        assert np.mean((darker[:, 0] < 425) & (darker[:, 1] < 910)) > 0.95
        assert image.shape == empty.shape


def test_the_same_input_makes_the_same_bytes() -> None:
    triggers = [
        trigger("fermi-gbm:1", Messenger.GAMMA_RAY, cone(10, 85, 12)),
        trigger("lvk:S2", Messenger.GRAVITATIONAL_WAVE, Annulus(200, -20, 50, 5, 0.9)),
        trigger("ep:3", Messenger.X_RAY, Ellipse(330, -55, 28, 3, 40, 0.9)),
    ]
    alerts = np.linspace(0, 359, 50), np.linspace(-89, 89, 50)
    assert _png(alerts, triggers, [COINCIDENCE], "A") == _png(alerts, triggers, [replace(COINCIDENCE)], "A")


@pytest.mark.not_measured
def test_many_triggers_lose_their_filling_and_their_names_but_not_their_contours() -> None:
    rng = np.random.default_rng(2)
    few = [
        trigger(f"fermi-gbm:{i}", Messenger.GAMMA_RAY, cone(ra, dec, 4))
        for i, (ra, dec) in enumerate(zip(rng.uniform(0, 360, 60), rng.uniform(-80, 80, 60), strict=True))
    ]
    ink = {count: np.asarray(imread(BytesIO(_png(triggers=few[:count])))) for count in (0, 40, 60)}
    changed_pixels = {n: np.count_nonzero(np.abs(ink[n] - ink[0])[100:900].sum(axis=2) > 0.1) for n in (40, 60)}
    assert 0 < changed_pixels[60] < changed_pixels[40]


@pytest.mark.not_measured
def test_names_do_not_lie_on_each_other() -> None:
    """Of triggers at one place each name is drawn where there is room, and left out where there is none."""
    heap = [trigger(f"fermi-gbm:{i}", Messenger.NEUTRINO, cone(180 + i / 100, 0, 0.1)) for i in range(30)]
    drawn = [len(_of_colour(_png(triggers=heap[:n]), COLOURS[Messenger.NEUTRINO])) for n in (1, 2, 30)]
    assert drawn[0] < drawn[1] < drawn[2] < 30 * (drawn[1] - drawn[0])


def test_any_text_can_be_drawn(tmp_path: Path) -> None:
    odd = "$\\frac{1}{$ \n \u4e2d \ud800 %"
    heard = trigger(odd, Messenger.UNKNOWN, cone(5, 5, 5))
    unknown = changed(trigger={"id": odd, "messenger": "dark-matter"})
    path = tmp_path / "sky.png"
    draw_sky(path, NONE, [heard], [unknown], odd)
    assert path.read_bytes().startswith(b"\x89PNG")
