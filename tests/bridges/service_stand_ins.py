"""Servers on this machine that speak what CDS X-Match, SkyBoT and TNS speak, well or badly."""

import email
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO
from threading import Event, Thread
from urllib.parse import parse_qs, urlsplit

import numpy as np
from astropy.coordinates import SkyCoord
from astropy.io import votable
from astropy.table import Table

Handler = BaseHTTPRequestHandler


@dataclass
class Question:
    """What was asked: path, form or query, and headers."""

    path: str
    form: dict[str, str]
    headers: dict[str, str]


@dataclass
class Reply:
    """What is answered; ``send`` writes a body in another way than at once."""

    body: bytes = b""
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    send: Callable[[Handler], None] | None = None


Speak = Callable[[Question], Reply]


@dataclass
class StandIn:
    """A server that is running.

    Attributes
    ----------
    speak
        Makes the reply; may be changed at any time.
    asked
        All questions so far.
    released
        Set at the end, so that whoever holds up an answer lets go.
    """

    url: str
    speak: Speak
    asked: list[Question] = field(default_factory=list)
    released: Event = field(default_factory=Event)


@contextmanager
def stand_in(speak: Speak) -> Iterator[StandIn]:
    """Serve until the block ends."""

    class Answering(Handler):
        def do_GET(self) -> None:  # noqa: N802 - as the class has it
            self._answer()

        def do_POST(self) -> None:  # noqa: N802
            self._answer()

        def _answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            question = Question(urlsplit(self.path).path, self._form(body), dict(self.headers))
            running.asked.append(question)
            reply = running.speak(question)
            self.send_response(reply.status)
            if reply.send is None:
                self.send_header("Content-Length", str(len(reply.body)))
            for name, value in reply.headers.items():
                self.send_header(name, value)
            self.end_headers()
            if reply.send is None:
                self.wfile.write(reply.body)
            else:
                reply.send(self)

        def _form(self, body: bytes) -> dict[str, str]:
            kind = self.headers.get("Content-Type", "")
            if kind.startswith("multipart/"):
                parts = email.message_from_bytes(f"Content-Type: {kind}\r\n\r\n".encode() + body)
                return {
                    str(part.get_param("name", header="content-disposition")): part.get_payload(decode=True).decode()
                    for part in parts.get_payload()
                }
            query = body.decode() if body else urlsplit(self.path).query
            return {name: values[0] for name, values in parse_qs(query, keep_blank_values=True).items()}

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    class Quiet(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, *_: object) -> None:
            """A client that went away is what is tested."""

    server = Quiet(("127.0.0.1", 0), Answering)
    running = StandIn(f"http://127.0.0.1:{server.server_address[1]}/api", speak)
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield running
    finally:
        running.released.set()
        server.shutdown()
        server.server_close()
        thread.join()


SIMBAD = Table({
    "main_id": ["3C 273", "NGC 4993", "* near 3C 273"],
    "ra": [187.2779, 197.4487, 187.2788],
    "dec": [2.0524, -23.3839, 2.0524],
    "main_type": ["QSO", "Galaxy", "Star"],
    "other_types": ["QSO|AGN", "G|GiG", "*"],
    "redshift": np.ma.masked_invalid([0.158, 0.0098, np.nan]),
})  # fmt: skip


def as_votable(table: Table) -> bytes:
    """A table as a service sends it."""
    out = BytesIO()
    votable.writeto(votable.from_table(table), out)
    return out.getvalue()


def cross_matched(question: Question, catalogue: Table = SIMBAD) -> Reply:
    """What CDS X-Match answers: a row for each pair within the distance, ours before theirs."""
    form = question.form
    mine = Table.read(form["cat1"].splitlines(), format="ascii.csv")
    ours = SkyCoord(mine[form["colRA1"]], mine[form["colDec1"]], unit="deg")
    theirs = SkyCoord(catalogue["ra"], catalogue["dec"], unit="deg")
    away = ours[:, None].separation(theirs[None, :]).arcsec
    pairs = np.argwhere(away <= float(form["distMaxArcsec"]))
    found = mine[pairs[:, 0]]
    for name in catalogue.colnames:
        found[name] = catalogue[name][pairs[:, 1]]
    found.add_column([round(float(away[one, other]), 6) for one, other in pairs], name="angDist", index=0)
    return Reply(as_votable(found))


SKYBOT = b"""<?xml version="1.0" encoding="UTF-8"?>
<VOTABLE xmlns="http://www.ivoa.net/xml/VOTable/v1.3" version="1.3">
<INFO ID="status" name="QUERY_STATUS" value="OK"/>
<RESOURCE type="results"><INFO name="QUERY_STATUS" value="OK"/><TABLE>
<FIELD name="Num" ID="num" datatype="char" arraysize="*"/><FIELD name="Name" ID="name" datatype="char" arraysize="*"/>
<FIELD name="RA" ID="ra" datatype="char" arraysize="*" unit="h:m:s"/>
<FIELD name="DEC" ID="de" datatype="char" arraysize="*" unit="d:m:s"/>
<FIELD name="Class" ID="class" datatype="char" arraysize="*"/>
<FIELD name="Mv" ID="magV" datatype="float" unit="mag"/>
<FIELD name="ErrPos" ID="errpos" datatype="float" unit="arcsec"/>
<FIELD name="d" ID="angdist" datatype="float" unit="arcsec"/>
<DATA><TABLEDATA>%s</TABLEDATA></DATA></TABLE></RESOURCE></VOTABLE>
"""


def skybot(*objects: tuple[str, float]) -> Reply:
    """What SkyBoT answers about objects of these names at these distances (arcsec)."""
    cells = "<TD>-</TD><TD>%s</TD><TD>00 40 00.0</TD><TD>+05 00 00.0</TD><TD>MB&gt;Inner</TD><TD>19.5</TD><TD>0.25</TD>"
    rows = "".join(f"<TR>{cells % name}<TD>{away_arcsec}</TD></TR>" for name, away_arcsec in objects)
    return Reply(SKYBOT % rows.encode())


REPORTED = {
    "2017gfo": {
        "objname": "2017gfo", "name_prefix": "AT", "radeg": 197.450375, "decdeg": -23.381472, "redshift": 0.0098,
        "object_type": {"name": "Kilonova", "id": 70}, "discoverydate": "2017-08-17 23:33:00", "hostname": "NGC 4993",
    },
    "2020aa": {"objname": "2020aa", "name_prefix": "SN", "radeg": 10.0, "decdeg": 20.0},
    "2020ab": {"objname": "2020ab", "name_prefix": "AT", "radeg": 10.0, "decdeg": 20.0005, "object_type": {}},
}  # fmt: skip


def tns(question: Question, *, wrapped: bool = True) -> Reply:
    """What TNS answers; ``wrapped``: in the form that it had up to 2024."""
    if question.form.get("api_key") != "the key" or not question.headers["User-Agent"].startswith("tns_marker{"):
        return Reply(json.dumps({"id_code": 401, "id_message": "Unauthorized"}).encode(), 401)
    asked = json.loads(question.form["data"])
    if question.path.endswith("/search"):
        here = SkyCoord(asked["ra"], asked["dec"], unit="deg")
        found = [
            {"objname": name, "prefix": told["name_prefix"], "objid": 1}
            for name, told in REPORTED.items()
            if here.separation(SkyCoord(told["radeg"], told["decdeg"], unit="deg")).arcsec <= float(asked["radius"])
        ]
    else:
        found = REPORTED[asked["objname"]]
    data = {"reply": found} if wrapped else found
    return Reply(json.dumps({"id_code": 200, "id_message": "OK", "data": data}).encode())
