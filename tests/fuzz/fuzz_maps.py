"""Sky maps: `read_skymap` gives a probability density or raises `BadSkyMap`, whatever the bytes.

The first byte says whether the rest is the file, is to be gzipped first, or is a table's cards, a line each, and its
data, to be made a file: so mutation need not keep to cards of 80 characters and blocks of 2880 bytes.
"""

import gzip

import atheris

with atheris.instrument_imports(include=["schemas"]):
    from schemas.errors import BadSkyMap
    from schemas.pixels import PIXEL_COUNT, PIXEL_SR
    from schemas.skymap import read_skymap, read_skymap_header

import numpy as np

from tests.fuzz.harness import fuzz
from tests.schemas.maps import blob, fits_file, flat, multi_order, ring_order


def _assembled(lines: bytes) -> bytes:
    """The file of these cards and data after an empty primary."""
    cards, _, data = lines.partition(_DATA)
    header = b"".join(line[:80].ljust(80) for line in (*cards.split(b"\n"), b"END"))
    return _PRIMARY + _filled(header, b" ") + _filled(data, b"\0")


def _disassembled(body: bytes) -> bytes:
    """What `_assembled` makes this file of."""
    cards = [body[at : at + 80].rstrip() for at in range(_BLOCK, len(body) - 79, 80)]
    end = cards.index(b"END")
    return b"\n".join(cards[:end]) + _DATA + body[_BLOCK + len(_filled(bytes(80 * (end + 1)), b" ")) :].rstrip(b"\0")


def _filled(part: bytes, by: bytes) -> bytes:
    return part + by * (-len(part) % _BLOCK)


_BLOCK = 2880
_DATA = b"\nDATA\n"
_PRIMARY = flat(blob(0))[:_BLOCK]
_WAYS = (bytes, lambda rest: gzip.compress(rest, 1, mtime=0), _assembled)


def read(data: bytes) -> None:
    """One input."""
    body = _WAYS[data[0] % len(_WAYS)](data[1:]) if data else b""
    header, found = (_unless_bad(reads, body) for reads in (read_skymap_header, read_skymap))
    if found is None:
        return
    assert header is not None, "a map was read whose header was refused"
    assert found.distance is None or found.distance.shape == (3, len(found.lo))
    assert (found.lo >= 0).all()
    assert (found.lo < found.hi).all()
    assert (found.lo[1:] >= found.hi[:-1]).all()
    assert found.hi[-1] <= PIXEL_COUNT
    assert np.isfinite(found.cell_density_per_sr).all()
    assert (found.cell_density_per_sr > 0).all()
    assert ((found.cell_level > 0) & (found.cell_level <= 1)).all()
    assert abs(float((found.cell_density_per_sr * (found.hi - found.lo) * PIXEL_SR).sum()) - 1) < 1e-6
    assert 0 <= found.peak_ra_deg < 360
    assert -90 <= found.peak_dec_deg <= 90


def _unless_bad(reads, body):
    try:
        return reads(body)
    except BadSkyMap as error:
        said = error.detail
    assert len(said) < 1000, "a rejection repeats what a stranger wrote"
    return None


def seeds():
    """Maps of each kind, small."""
    probability = blob(2)
    uniq = np.arange(4 << 4, 16 << 4)
    density = probability * len(probability) / (4 * np.pi)
    two = np.array([0.5, 0.5])
    words = {"COORDSYS": "C", "ORDERING": "NESTED", "INDXSCHM": "EXPLICIT"}
    layers = {"DISTMU": two * 100, "DISTSIGMA": two * 20, "DISTNORM": two}
    bodies = [
        flat(probability),
        flat(blob(1), COORDSYS="G"),
        flat(ring_order(probability), ORDERING="RING"),
        multi_order(uniq, density),
        multi_order(
            np.array([4, 5]), two / (np.pi / 3), **{"DATE-OBS": "2023-05-18T12:59:08.17", "OBJECT": "S230518h"}
        ),
        fits_file({"PIXEL": np.arange(2), "PROB": two}, words | {"NSIDE": 64}),
        fits_file({"PIXEL": np.arange(2), "PROB": two}, words | {"NSIDE": 16, "COORDSYS": "G"}),
        fits_file({"PIXEL": np.arange(2), "PROB": two, **layers}, words | {"NSIDE": 64, "CREATOR": "BAYESTAR"}),
        fits_file({"UNIQ": np.arange(4, 8)}, {"ORDERING": "NUNIQ", "COORDSYS": "C", "MOCORDER": 0, "MOCDIM": "SPACE"}),
        fits_file({"RANGE": np.array([0, 64, 128, 192])}, {"ORDERING": "RANGE", "COORDSYS": "C", "MOCDIM": "SPACE"}),
        flat(probability, MJDREFI=51910, MJDREFF=7.4e-4, TRIGTIME=7e8, TIMESYS="TT", BAD_DATA=-1.0),
        b'{"3": [1, 2], "29": [17]}',
    ]
    for body in bodies:
        yield from (way + body for way in (b"\0", b"\1"))
        if body.startswith(b"SIMPLE"):
            yield b"\2" + _disassembled(body)


WORDS = (
    "SIMPLE  =",
    "XTENSION= 'BINTABLE'",
    "END     ",
    "NAXIS1  =",
    "NAXIS2  =",
    "TFIELDS =",
    "TFORM1  =",
    "TTYPE2  =",
)
WORDS += (
    "TSCAL1  =",
    "TZERO1  =",
    "TNULL1  =",
    "TUNIT2  =",
    "PCOUNT  =",
    "THEAP   =",
    "NSIDE   =",
    "ORDERING=",
    "COORDSYS=",
)
WORDS += (
    "'G       '",
    "'RING    '",
    "'RANGE   '",
    "'NUNIQ   '",
    "INDXSCHM=",
    "'EXPLICIT'",
    "UNIQ",
    "PROBDENSITY",
    "PIXEL",
)
WORDS += (
    "DISTMU",
    "DISTSIGMA",
    "DISTNORM",
    "1E999",
    "NaN",
    "1024",
    "4096",
    "536870912",
    "9223372036854775808",
    "FIRSTPIX=",
)

if __name__ == "__main__":
    fuzz("maps", read, seeds(), WORDS)
