from io import BytesIO
from math import sqrt

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.figure import Figure

from broker.globe import HALF_HEIGHT, HALF_WIDTH, Globe, Raster, printable, save
from schemas.densities import skymap_of
from schemas.localisation import Annulus, Cone, Ellipse, Localisation
from schemas.pixels import ORDER, cell_centres
from schemas.sky import CellTable, SkyMap, separation_deg

GLOBE = Globe()
RASTER = Raster(GLOBE)
STERADIAN_DEG2 = np.degrees(1) ** 2


def test_the_plane_has_12_h_in_the_middle_and_ra_growing_to_the_left() -> None:
    x, y = GLOBE.project(np.array([180.0, 90.0, 0.0, 360.0, 42.0, 42.0]), np.array([0.0, 0.0, 0.0, 0.0, 90.0, -90.0]))
    assert x == pytest.approx([0, HALF_WIDTH / 2, HALF_WIDTH, HALF_WIDTH, 0, 0], abs=1e-12)
    assert y == pytest.approx([0, 0, 0, 0, HALF_HEIGHT, -HALF_HEIGHT])


@given(st.floats(0, 359.99), st.floats(-89.9, 89.9))
def test_unproject_undoes_project(ra: float, dec: float) -> None:
    back_ra, back_dec, inside = GLOBE.unproject(*GLOBE.project(np.array([ra]), np.array([dec])))
    if inside[0]:  # rounding may put a point of the rim outside
        assert separation_deg(back_ra, back_dec, ra, dec)[0] < 0.1
    else:
        assert min(ra, 360 - ra) < 0.001


def test_outside_of_the_rim_is_no_sky() -> None:
    *_, inside = GLOBE.unproject(np.array([HALF_WIDTH, 2.5, 0.0]), np.array([0.1, 1.0, 1.5]))
    assert not inside.any()


@pytest.mark.parametrize(
    "localisation",
    [
        Cone(180, 0, 10, 0.9),
        Cone(0, 20, 8, 0.9),
        Cone(359, -45, 3, 0.9),
        Cone(77, 90, 6, 0.9),
        Cone(10, -88, 15, 0.9),
        Cone(200, 70, 1.5, 0.9),
        Cone(120, 30, 70, 0.9),
        Annulus(300, 10, 60, 4, 0.9),
        Ellipse(3, 60, 25, 3, 100, 0.9),
    ],
    ids=str,
)
def test_the_grid_holds_the_whole_region_for_the_plane_is_equal_area(localisation: Localisation) -> None:
    skymap = skymap_of(localisation)
    x, y, level = RASTER.levels(skymap, 0.9)
    cell_sr = (x[1] - x[0]) * (y[1] - y[0])
    for most in (0.5, 0.9):
        area = np.count_nonzero(level <= most) * cell_sr * STERADIAN_DEG2
        assert area == pytest.approx(skymap.area_deg2(most), rel=0.04)


def test_a_region_between_the_points_of_the_raster_is_enclosed() -> None:
    skymap = skymap_of(Cone(33.3, 12.3, 0.01, 0.9))
    x, y, _ = RASTER.levels(skymap, 0.9)
    (at_x,), (at_y,) = GLOBE.project(np.array([33.3]), np.array([12.3]))
    assert x[0] < at_x < x[-1]
    assert y[0] < at_y < y[-1]


def test_a_map_whose_first_cell_has_more_than_the_level_is_shown_by_that_cell() -> None:
    shift = 2 * (ORDER - 1)
    lo, hi = np.array([7 << shift]), np.array([8 << shift])
    skymap = SkyMap(CellTable(lo, hi, np.array([48 / (4 * np.pi)]), np.array([1.0])), 0.0, 0.0, "one cell")
    x, y, level = RASTER.levels(skymap, 0.9)
    (at_x,), (at_y,) = GLOBE.project(*cell_centres(np.array([7]), 1))
    assert x[0] < at_x < x[-1]
    assert y[0] < at_y < y[-1]
    assert np.isfinite(level).any()


def test_what_the_font_lacks_becomes_a_question_mark() -> None:
    assert printable("GRB \u03b3 200107A") == "GRB \u03b3 200107A"
    assert printable("a\nb\ud800c\U0001f4a5\u4e2d") == "a?b?c??"


def test_a_picture_says_nothing_of_when_or_with_what_it_was_made() -> None:
    stream = BytesIO()
    save(Figure(figsize=(sqrt(2), 1)), stream)
    assert stream.getvalue().startswith(b"\x89PNG")
    assert not {b"tEXt", b"iTXt", b"zTXt", b"tIME"} & {stream.getvalue()[i : i + 4] for i in range(200)}
