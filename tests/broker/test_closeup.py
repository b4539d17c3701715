from io import BytesIO
from typing import Any

import numpy as np
import pytest
from matplotlib.image import imread
from numpy.typing import NDArray

from broker import skyplot
from broker.closeup import _area, draw_localisation
from schemas.localisation import Annulus, Ellipse
from schemas.records import Messenger
from tests.broker.skies import cone, trigger

STAR = np.array([255, 201, 60]) / 255
HEARD = trigger("swift:1", Messenger.GAMMA_RAY, cone(150, 2, 0.05))


def _image(*arguments: Any, **named: Any) -> NDArray[np.float64]:
    stream = BytesIO()
    draw_localisation(stream, *arguments, **named)
    return np.asarray(imread(BytesIO(stream.getvalue())), np.float64)[:, :, :3]


def _stars(image: NDArray[np.float64]) -> NDArray[np.intp]:
    return np.argwhere(np.abs(image - STAR).max(axis=2) < 0.02)


@pytest.mark.parametrize(
    "localisation",
    [
        cone(150, 2, 0.5 / 3600),
        cone(0, 0, 4),
        cone(10, 90, 5),
        cone(10, -89.9, 0.01),
        Ellipse(359.9, 60, 20, 2, 30, 0.9),
    ],
    ids=str,
)
def test_a_part_of_the_sky_is_upright_and_shows_the_density_in_the_middle(localisation: Any) -> None:
    image = _image(trigger("x:1", Messenger.GRAVITATIONAL_WAVE, localisation))
    assert image.shape == (1260, 1200, 3)
    middle, corner = image[520:600, 600:700].mean(axis=(0, 1)), image[150:180, 200:230].mean(axis=(0, 1))
    assert middle[1] - middle[0] > 0.2  # green
    assert corner.min() > 0.85


def test_a_wide_region_is_shown_on_the_whole_sky_with_its_points() -> None:
    image = _image(trigger("x:1", Messenger.GAMMA_RAY, Annulus(200, 0, 60, 5, 0.9)), [("here", 180.0, 0.0)])
    assert image.shape == (1050, 1800, 3)
    assert np.abs(_stars(image).mean(axis=0) - np.array([516, 900])).max() < 10


def test_points_are_marked_east_to_the_left_and_north_up() -> None:
    east, north = _image(HEARD, [("e", 150.03, 2.0)]), _image(HEARD, [("n", 150.0, 2.03)])
    middle = np.array([555, 660])
    assert _stars(east).mean(axis=0)[1] < middle[1] - 100
    assert _stars(north).mean(axis=0)[0] < middle[0] - 100


def test_points_beyond_the_picture_are_left_out() -> None:
    assert not len(_stars(_image(HEARD, [("far", 151.0, 2.0), ("behind", 330.0, -2.0)])))


def test_many_points_are_dots_without_names() -> None:
    crowd = [(f"ZTF{i}", 150 + i / 2000, 2.0) for i in range(-30, 31)]
    image = _image(HEARD, crowd)
    assert not len(_stars(image))
    assert np.abs(image - _image(HEARD)).sum() > 100


def test_a_sky_map_alone_can_be_drawn_and_has_no_name_but_the_given() -> None:
    assert HEARD.skymap is not None
    plain, named = _image(HEARD.skymap), _image(HEARD.skymap, title="$name")
    assert np.abs(plain - named)[:90].sum() > 10
    assert np.abs(plain - named)[110:].sum() == 0


def test_a_trigger_without_a_position_is_refused() -> None:
    with pytest.raises(ValueError, match="swift:2 has no position"):
        draw_localisation(BytesIO(), trigger("swift:2"))


@pytest.mark.parametrize(("radius", "unit"), [(2.0, "deg"), (0.05, "arcmin"), (1 / 3600, "arcsec")])
def test_the_area_is_told_in_a_unit_that_suits(radius: float, unit: str) -> None:
    number, told = _area(np.pi * radius**2).split(" ")
    scale = {"deg": 1, "arcmin": 60, "arcsec": 3600}[unit]
    assert told == f"{unit}\u00b2"
    assert float(number) == pytest.approx(np.pi * (radius * scale) ** 2, rel=0.01)


def test_one_module_has_both_pictures() -> None:
    assert skyplot.draw_localisation is draw_localisation
