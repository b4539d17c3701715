"""Files that are broken, lie, or attack: each with the reason for which it must be rejected."""

import bz2
import gzip
import io
import lzma
import tarfile
import zlib
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np

from schemas.errors import Reason
from tests.schemas.maps import blob, fits_file, flat
from tests.schemas.voevent_packets import packet
from tests.survey_packets import ZTF, container, encoded, framed, handmade, maybe, record, varint, ztf_alert

MIB = 1 << 20
GOOD_ALERT = container(ZTF, [ztf_alert(jdstarthist=2458849.75)])
GOOD_NOTICE = packet(112, {"TrigID": 600117987}, position=(150.25, -12.5), radius=2.0, time="2020-01-01T05:00:00")
"""Seven hours before the alert (JD 2458849.75 is 2020-01-01T06:00), which lies at the very centre."""


def packed(size: int) -> bytes:
    """So many zeros, gzipped to a thousandth of the size: as many members as it takes."""
    return _PACKED * (size // (16 * MIB))


_PACKED = gzip.compress(bytes(16 * MIB), mtime=0)


def changed(body: bytes, at: int, to: bytes) -> bytes:
    return body[:at] + to + body[at + len(to) :]


def cards(*lines: str) -> bytes:
    """A FITS header, without what it claims to head."""
    text = "".join(f"{line:<80}" for line in (*lines, "END"))
    return text.ljust(-(-len(text) // 2880) * 2880).encode()


PRIMARY = cards("SIMPLE  =                    T", "BITPIX  =                    8", "NAXIS   =                    0")


def claiming(rows: int, width: int = 16, *more: str) -> bytes:
    """A table of sky-map columns that claims so many rows, with 4 kB behind it."""
    return (
        PRIMARY
        + cards(
            "XTENSION= 'BINTABLE'",
            "BITPIX  =                    8",
            "NAXIS   =                    2",
            f"NAXIS1  = {width:>20}",
            f"NAXIS2  = {rows:>20}",
            "PCOUNT  =                    0",
            "GCOUNT  =                    1",
            "TFIELDS =                    2",
            "TTYPE1  = 'UNIQ    '",
            "TFORM1  = 'K       '",
            "TTYPE2  = 'PROBDENSITY'",
            "TFORM2  = 'D       '",
            "PIXTYPE = 'HEALPIX '",
            "ORDERING= 'NUNIQ   '",
            *more,
        )
        + bytes(4096)
    )


def xml(inner: str, doctype: str = "") -> bytes:
    return f'<?xml version="1.0"?>{doctype}<VOEvent ivorn="ivo://t/n#1" version="2.0">{inner}</VOEvent>'.encode()


def entities(levels: int) -> str:
    lines = "".join(f'<!ENTITY e{n} "{f"&e{n - 1};" * 10}">' for n in range(1, levels))
    return f'<!DOCTYPE lolz [<!ENTITY e0 "lol">{lines}]>'


def nested_schema(depth: int) -> bytes:
    return b'{"type":"array","items":' * depth + b'"null"' + b"}" * depth


RECURSIVE: dict[str, Any] = record("ztf.alert", objectId="string", candid="long", candidate=maybe("ztf.alert"))
NULLS = record("ztf.alert", **{f["name"]: f["type"] for f in ZTF["fields"]}, extra={"type": "array", "items": "null"})


def array_of_nulls() -> bytes:
    alert = encoded(NULLS, ztf_alert() | {"extra": []})[:-1]
    block = alert + varint(1 << 33) + varint(0)
    return handmade(NULLS, (1, block))


def deflated(size: int) -> bytes:
    data = zlib.compress(bytes(size), 9)[2:-4]
    return handmade(ZTF, (1, data), codec="deflate")


def tar(*members: tuple[str, bytes], claims: int | None = None) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for name, body in members:
            info = tarfile.TarInfo(name)
            info.size = len(body)
            archive.addfile(info, io.BytesIO(body))
    if claims is None:
        return out.getvalue()
    info = tarfile.TarInfo("claims.avro")
    info.size = claims
    return info.tobuf(tarfile.GNU_FORMAT) + bytes(1024)


ALERTS: dict[str, tuple[Callable[[], bytes], list[Reason]]] = {
    "empty.avro": (lambda: b"", [Reason.EMPTY]),
    "no-records.avro": (lambda: container(ZTF, []), [Reason.EMPTY]),
    "magic-alone.avro": (lambda: b"Obj\x01", [Reason.TRUNCATED]),
    "header-cut.avro": (lambda: GOOD_ALERT[:200], [Reason.TRUNCATED]),
    "block-cut.avro": (lambda: GOOD_ALERT[:-30], [Reason.TRUNCATED]),
    "sync-gone.avro": (lambda: GOOD_ALERT[:-16], [Reason.TRUNCATED]),
    "sync-changed.avro": (lambda: GOOD_ALERT[:-16] + bytes(16), [Reason.CORRUPT]),
    "schema-no-json.avro": (lambda: handmade(b"{'type': record}", (1, b"")), [Reason.MALFORMED]),
    "schema-not-utf8.avro": (lambda: handmade(b'{"type": "\xff\xfe"}', (1, b"")), [Reason.MALFORMED]),
    "schema-deep.avro": (lambda: handmade(nested_schema(20_000), (1, b"")), [Reason.TOO_DEEP]),
    "schema-recursive.avro": (lambda: handmade(RECURSIVE, (1, b"\2a\2\0")), [Reason.FORBIDDEN]),
    "schema-large.avro": (lambda: handmade(b'"' + b"a" * (2 * MIB) + b'"'), [Reason.TOO_LARGE]),
    "codec-unknown.avro": (lambda: handmade(ZTF, (1, b""), codec="lzw"), [Reason.UNSUPPORTED]),
    "deflate-damaged.avro": (lambda: handmade(ZTF, (1, b"\xff" * 99), codec="deflate"), [Reason.CORRUPT]),
    "deflate-bomb.avro": (lambda: deflated(64 * MIB), [Reason.TOO_LARGE]),
    "snappy-bomb.avro": (lambda: handmade(ZTF, (1, b"\xff\xff\xff\xff\x0f0000"), codec="snappy"), [Reason.TOO_LARGE]),
    "array-of-nulls.avro": (array_of_nulls, [Reason.FORBIDDEN]),
    "billion-records.avro": (lambda: handmade(ZTF, (10**9, b"")), [Reason.TOO_LARGE]),
    "negative-count.avro": (lambda: handmade(ZTF, varint(-5) + varint(9)), [Reason.CORRUPT]),
    "unknown-id.avro": (lambda: framed(999_999, ZTF, ztf_alert()), [Reason.UNKNOWN_SCHEMA]),
    "no-survey.avro": (lambda: container(record("x", y="int"), [{"y": 1}]), [Reason.UNKNOWN_SCHEMA]),
    "ra-nan.avro": (lambda: container(ZTF, [ztf_alert(ra=float("nan"))]), [Reason.NOT_FINITE]),
    "dec-91.avro": (lambda: container(ZTF, [ztf_alert(dec=91.0)]), [Reason.OUT_OF_RANGE]),
    "time-infinite.avro": (lambda: container(ZTF, [ztf_alert(jd=float("inf"))]), [Reason.BAD_TIME]),
    "time-zero.avro": (lambda: container(ZTF, [ztf_alert(jd=0.0)]), [Reason.BAD_TIME]),
    "bomb.avro.gz": (lambda: packed(128 * MIB), [Reason.TOO_LARGE]),
    "cut.avro.gz": (lambda: gzip.compress(GOOD_ALERT)[:-12], [Reason.TRUNCATED]),
    "changed.avro.gz": (lambda: changed(gzip.compress(GOOD_ALERT), 60, b"\0\0\0\0"), [Reason.CORRUPT]),
    "cut.tar.gz": (lambda: gzip.compress(tar(("a.avro", GOOD_ALERT)))[:-400], [Reason.CORRUPT]),
    "called-a.tar": (lambda: b"no archive at all", [Reason.CORRUPT]),
    "claims.tar": (lambda: tar(claims=10**12), [Reason.TOO_LARGE, Reason.CORRUPT]),
    "bomb.tar.gz": (lambda: gzip.compress(tar(claims=10**9)[:512]) + packed(320 * MIB), [Reason.TOO_LARGE] * 2),
    "bomb.tar.bz2": (
        lambda: bz2.compress(tar(claims=10**9)[:512]) + bz2.compress(bytes(32 * MIB)) * 10,
        [Reason.TOO_LARGE] * 2,
    ),
    "changed.tar.xz": (lambda: changed(lzma.compress(tar(("a.avro", GOOD_ALERT))), 30, b"\xff" * 9), [Reason.CORRUPT]),
}
"""By name: how to make it, and the reasons of its rejections in order."""

VOEVENTS: dict[str, tuple[Callable[[], bytes], list[Reason]]] = {
    "billion-laughs.xml": (lambda: xml("&e9;", entities(10)), [Reason.FORBIDDEN]),
    "quadratic.xml": (lambda: xml("&a;" * 9999, f'<!DOCTYPE x [<!ENTITY a "{"a" * 9999}">]>'), [Reason.FORBIDDEN]),
    "file-entity.xml": (
        lambda: xml("&f;", '<!DOCTYPE x [<!ENTITY f SYSTEM "file:///etc/passwd">]>'),
        [Reason.FORBIDDEN],
    ),
    "external-doctype.xml": (
        lambda: xml("", '<!DOCTYPE VOEvent SYSTEM "http://127.0.0.1:9/VOEvent.dtd">'),
        [Reason.FORBIDDEN],
    ),
    "parameter-entity.xml": (
        lambda: xml("", '<!DOCTYPE x [<!ENTITY % p SYSTEM "http://127.0.0.1:9/p.dtd"> %p;]>'),
        [Reason.FORBIDDEN],
    ),
    "utf16-doctype.xml": (
        lambda: (
            entities(3).join(['<?xml version="1.0" encoding="UTF-16"?>', "<VOEvent>&e2;</VOEvent>"]).encode("utf-16")
        ),
        [Reason.FORBIDDEN],
    ),
    "undeclared-entity.xml": (lambda: xml("&nothing;"), [Reason.MALFORMED]),
    "deep.xml": (lambda: xml("<a>" * 5000 + "</a>" * 5000), [Reason.TOO_DEEP]),
    "large.xml": (lambda: xml("<a/>" * MIB), [Reason.TOO_LARGE]),
    "latin1.xml": (
        lambda: GOOD_NOTICE.replace(b"<Why>", "<Why><Name>Möller</Name>".encode("latin-1")),
        [Reason.BAD_ENCODING],
    ),
    "no-such-encoding.xml": (lambda: GOOD_NOTICE.replace(b"UTF-8", b"KLINGON"), [Reason.BAD_ENCODING]),
    "cut.xml": (lambda: GOOD_NOTICE[:-60], [Reason.TRUNCATED]),
    "unclosed.xml": (lambda: GOOD_NOTICE.replace(b"</What>", b""), [Reason.MALFORMED]),
    "page.xml": (lambda: b"<!doctype html><html><body>404</body></html>", [Reason.MALFORMED]),
    "blank.xml": (lambda: b"  \n\n ", [Reason.UNKNOWN_FORMAT]),
    "bomb.xml.gz": (lambda: packed(128 * MIB), [Reason.TOO_LARGE]),
}

JSONS: dict[str, tuple[Callable[[], bytes], list[Reason]]] = {
    "nan.json": (lambda: b'{"ra": NaN, "dec": 1.0, "trigger_time": "2020-01-01T05:00:00Z"}', [Reason.NOT_FINITE]),
    "infinity.json": (lambda: b'{"ra": -Infinity}', [Reason.NOT_FINITE]),
    "overflow.json": (lambda: b'{"ra": 1e999}', [Reason.NOT_FINITE]),
    "deep.json": (lambda: b'{"a":' * 10**6 + b"1" + b"}" * 10**6, [Reason.TOO_DEEP]),
    "deep-lists.json": (lambda: b'{"a":' + b"[" * 10**6, [Reason.TOO_DEEP]),
    "long-number.json": (lambda: b'{"ra": ' + b"9" * 10**6 + b"}", [Reason.MALFORMED]),
    "twice.json": (lambda: b'{"ra": 1, "ra": 2}', [Reason.MALFORMED]),
    "not-utf8.json": (lambda: b'{"ra": "\xff\xfe"}', [Reason.BAD_ENCODING]),
    "cut.json": (lambda: b'{"trigger_time": "2020-01-01T05:0', [Reason.MALFORMED]),
    "list.json": (lambda: b"[1, 2]", [Reason.UNKNOWN_FORMAT]),
    "unknown.json": (lambda: b'{"foo": "bar"}', [Reason.UNKNOWN_FORMAT]),
}


@cache
def _map() -> bytes:
    return flat(blob(3))


MAPS: dict[str, tuple[Callable[[], bytes], list[Reason]]] = {
    "image.fits": (lambda: PRIMARY, [Reason.NOT_A_MAP]),
    "cut-in-header.fits": (lambda: _map()[:3000], [Reason.TRUNCATED]),
    "noise.fits": (lambda: b"SIMPLE  " + np.random.default_rng(1).bytes(9000), [Reason.MALFORMED]),
    "bomb.fits.gz": (lambda: gzip.compress(PRIMARY[:80]) + packed(128 * MIB), [Reason.TRUNCATED]),
}
"""Maps that lie by themselves are known by their headers; their tables are read when a notice links to them."""

LINKED: dict[str, tuple[Callable[[], bytes], Reason]] = {
    "trillion-rows.fits": (lambda: claiming(10**12), Reason.TOO_LARGE),
    "million-rows.fits": (lambda: claiming(10**6), Reason.TRUNCATED),
    "wide-rows.fits": (lambda: claiming(1, 10**12), Reason.TRUNCATED),
    "negative-rows.fits": (lambda: claiming(-1), Reason.OUT_OF_RANGE),
    "compressed-image.fits": (lambda: claiming(10, 16, "ZIMAGE  =                    T"), Reason.UNSUPPORTED),
    "cut.fits": (lambda: _map()[:-4000], Reason.TRUNCATED),
    "cut.fits.gz": (lambda: gzip.compress(_map())[:-200], Reason.TRUNCATED),
    "rows-bomb.fits.gz": (lambda: gzip.compress(claiming(3 * 10**7)) + packed(512 * MIB), Reason.TOO_LARGE),
    "nan.fits": (lambda: flat(np.where(np.arange(768) == 7, np.nan, 1 / 768)), Reason.NOT_FINITE),
    "negative.fits": (lambda: flat(np.where(np.arange(768) == 7, -0.5, 1 / 768)), Reason.OUT_OF_RANGE),
    "zero.fits": (lambda: flat(np.zeros(768)), Reason.NOT_NORMALISED),
    "ten.fits": (lambda: flat(np.full(768, 10 / 768)), Reason.NOT_NORMALISED),
    "not-12n2.fits": (lambda: flat(np.full(700, 1 / 700), NSIDE=8), Reason.MALFORMED),
    "overlapping.fits": (
        lambda: fits_file(
            {"UNIQ": np.array([4, 16, 17, 4]), "PROBDENSITY": np.full(4, 0.1)},
            {"PIXTYPE": "HEALPIX", "ORDERING": "NUNIQ"},
        ),
        Reason.MALFORMED,
    ),
}
"""By name: how to make it, and why it cannot be used by the notice that links to it."""


def linking(number: int, name: str) -> bytes:
    """A sub-threshold notice of GBM, the kind that links to a map by any name."""
    return packet(
        131,
        {"Trans_Num": number, "HealPix_URL": f"https://example.org/{name}"},
        ivorn=f"ivo://nasa.gsfc.gcn/Fermi#GBM_SubThresh_{number}",
        position=(10.0, 20.0),
        radius=5.0,
    )
