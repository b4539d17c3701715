import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from matchers.footprint import ALL_INSIDE, COARSE_SHIFT, INSIDE, UNDECIDED, Footprint
from schemas.sky import PIXEL_COUNT, Cells, Circle, Region, inner_of
from tests.matchers.test_nights import REGIONS

BLOCK = 1 << COARSE_SHIFT


def cells_of(*intervals: tuple[int, int]) -> Cells:
    lo, hi = np.array(intervals, np.int64).T
    return Cells(lo, hi)


def grade_of(footprint: Footprint, pixel: int) -> int:
    """Slowly and obviously, one pixel at a time."""
    if pixel >> COARSE_SHIFT not in footprint.cells:
        return 0
    block = footprint.block[footprint.cells.tolist().index(pixel >> COARSE_SHIFT)]
    if block < 0:
        return INSIDE
    fine = (pixel % BLOCK) >> (COARSE_SHIFT - 2 * footprint.depth)
    byte = int(footprint.grades[(block * 4**footprint.depth + fine) // 4])
    return byte >> 2 * (fine % 4) & 3


def assert_true_of(region: Region, footprint: Footprint, pixels: list[int]) -> None:
    """Inside means wholly inside, outside wholly outside, by the region's intervals."""
    inner = inner_of(region)
    for pixel in pixels:
        grade = grade_of(footprint, pixel)
        in_cover = any(lo <= pixel < hi for lo, hi in zip(region.lo, region.hi, strict=True))
        in_inner = any(lo <= pixel < hi for lo, hi in zip(*inner, strict=True))
        assert in_cover or grade != INSIDE
        assert in_inner or grade != INSIDE
        assert not in_cover or grade in {UNDECIDED, INSIDE}


@settings(max_examples=60)
@given(
    st.lists(st.integers(0, 3 * BLOCK), min_size=2, max_size=12, unique=True),
    st.sampled_from([0, 5, 34, 40, COARSE_SHIFT]),
    st.lists(st.integers(0, 3 * BLOCK), max_size=20),
)
def test_grades_are_true_of_any_cells(borders, shift, more):
    borders = sorted({border >> shift << shift for border in borders})
    borders = borders[: len(borders) // 2 * 2]
    region = Cells(np.array(borders[::2], np.int64), np.array(borders[1::2], np.int64))
    footprint = Footprint.of(region)
    near = [pixel for border in borders for pixel in (border - 1, border, border + 1) if pixel >= 0]
    assert_true_of(region, footprint, near + more)
    if shift >= 34:
        unsure = [pixel for pixel in near + more if grade_of(footprint, pixel) == UNDECIDED]
        assert unsure == [], "cells of order 12 and less are decided"


@pytest.mark.parametrize("region", REGIONS)
def test_grades_are_true_of_every_kind_of_region(region):
    footprint = Footprint.of(region)
    borders = [int(x) for x in (*region.lo[:30], *region.hi[-30:])]
    pixels = [pixel for border in borders for pixel in (border - 1, border, border + 1) if 0 <= pixel < PIXEL_COUNT]
    assert_true_of(region, footprint, pixels)
    assert len(footprint.grades) == len(footprint.block[footprint.block >= 0]) * 4 ** (footprint.depth - 1)


def test_whole_coarse_cells_need_no_block():
    footprint = Footprint.of(cells_of((BLOCK, 3 * BLOCK), (4 * BLOCK, 4 * BLOCK + 4)))
    assert footprint.cells.tolist() == [1, 2, 4]
    assert footprint.block.tolist() == [-1, -1, 0]
    assert sum(INSIDE << shift for shift in (0, 2, 4, 6)) == ALL_INSIDE
    assert len(Footprint.of(Circle.around(0, 0, 180)).grades) == 0


def test_the_last_cell_of_the_sky_and_the_depth_that_is_needed():
    footprint = Footprint.of(cells_of((PIXEL_COUNT - BLOCK // 4, PIXEL_COUNT)))
    assert (footprint.depth, footprint.grades.tolist()) == (1, [INSIDE << 6])
    assert Footprint.of(cells_of((7, 8))).depth == 6
    assert Footprint.of(Circle.around(10, 20, 40)).depth < 6
