"""The published search as a command, against plain loops over astropy's separations.

The notices are packets that were really sent, or made to look so, rewritten to lie next to alerts: just inside
and just outside each limit of the search.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy import units as u
from astropy.coordinates import offset_by
from lxml import etree

from bridges.files import find_files, read_files
from bridges.simulator import NightPlan, simulate
from schemas.catalogue import SchemaCatalogue
from schemas.localisation import Cone
from schemas.reading import Reading, read_message
from schemas.records import Alerts, Message, Notice
from schemas.survey import quality_columns
from schemas.times import US_PER_DAY, US_PER_S, iso_from_us
from schemas.voevent_notice import read_voevent
from tests.e2e.conftest import lines_of, run
from tests.matchers.oracle import fink2021_pairs
from tests.schemas.voevent_packets import packet
from tests.survey_packets import ZTF, container, ztf_alert

pytestmark = pytest.mark.not_measured
PRESET = Path(__file__).resolve().parents[2] / "config" / "examples" / "fink2021.toml"
BEFORE_US, AFTER_US = 600 * US_PER_S, 20 * US_PER_DAY
Pairs = set[tuple[str, str]]


def searched(alerts: Path, notices: Path, out: Path, *, cuts: bool) -> Pairs:
    """Trigger and object of every coincidence that stands in the end, by the command."""
    switch = f"cuts.enabled={str(cuts).lower()}"
    ran = run(
        "replay", "--config", PRESET, "--set", switch, "--alerts", alerts, "--notices", notices, "--out", out, "--json"
    )
    assert ran.code == 0, ran.err
    found = [c for c in lines_of(out / "coincidences.jsonl") if c["object"]["survey"] == "ztf"]
    return {(c["trigger"]["id"], c["object"]["object_id"]) for c in found if c["state"] != "withdrawn"}


def read_all(*paths: Path) -> Iterator[Reading]:
    catalogue = SchemaCatalogue()
    for message in read_files(find_files(paths)):
        if isinstance(message, Message):
            yield read_message(message, catalogue)


def ztf_alerts(*paths: Path) -> Alerts:
    """All of ZTF's alerts below some paths."""
    return Alerts.concatenate([part for reading in read_all(*paths) for part in reading.alerts if part.survey == "ztf"])


def expected(alerts: Path, notices: Path, *, cuts: bool) -> Pairs:
    """The same by the oracle."""
    columns = [ztf_alerts(alerts)]
    told = [notice for reading in read_all(notices) for notice in reading.notices]
    return fink2021_pairs(columns, told, quality_columns("ztf") if cuts else None)


@dataclass(frozen=True)
class Template:
    """A packet to be rewritten, and how far around it is searched.

    Attributes
    ----------
    radius_deg
        What the rewritten packet is to report.
    searched_deg
        Given that and the notice's own containment.
    """

    body: bytes
    radius_deg: float
    searched_deg: Callable[[Cone], float]


def _swift(cone: Cone) -> float:
    return 3 * cone.radius_deg


def _fermi(cone: Cone) -> float:
    return min(cone.radius_deg, 5.0)


def _three_sigma(cone: Cone) -> float:
    return 3 * cone.radius_deg / math.sqrt(-2 * math.log(1 - cone.containment))


REAL = {
    "swift": ("voevent/curated/PAIR_true_200107_*/*SWIFT_BAT_GRB_Pos_*", 0.055, _swift),
    "fermi flight": ("voevent/curated/PAIR_true_200107_*/*GBM_Flt_Pos_*", 7.75, _fermi),
    "fermi ground": ("voevent/curated/PAIR_true_160104_*/*GBM_Gnd_Pos_*", 3.25, _fermi),
    "fermi final": ("voevent/curated/PAIR_true_200107_*/*GBM_Fin_Pos*", 4.875, _fermi),
    "integral": ("fink-mm/VODB/integral/*737.xml", 0.075, _three_sigma),
}
MADE = {
    "swift": Template(packet(61, {"TrigID": 1}), 0.055, _swift),
    "fermi flight": Template(packet(111, {"TrigID": 1}), 7.75, _fermi),
    "fermi ground": Template(packet(112, {"TrigID": 1}), 3.25, _fermi),
    "fermi final": Template(packet(115, {"TrigID": 1}), 4.875, _fermi),
    "integral": Template(packet(56, {"TrigID": 1}), 0.075, _three_sigma),
}


def rewritten(body: bytes, number: int, time_us: int, ra_deg: float, dec_deg: float, radius_deg: float) -> bytes:
    """The packet as one of trigger ``number`` at another time and place; everything else stays."""
    root = etree.fromstring(body)
    root.set("ivorn", f"{root.get('ivorn', '').partition('#')[0]}#moved_{number}")
    (trigger,) = root.xpath("//Param[@name='TrigID']")
    trigger.set("value", str(number))
    for name, value in {
        "ISOTime": iso_from_us(time_us).removesuffix("Z"),
        "C1": repr(ra_deg),
        "C2": repr(dec_deg),
        "Error2Radius": repr(radius_deg),
        "Date": iso_from_us(time_us + 60 * US_PER_S)[:19],
    }.items():
        (element,) = root.iter(name)
        element.text = value
    return bytes(etree.tostring(root))


@dataclass(frozen=True)
class Limit:
    """A notice next to an alert: at this part of the searched radius, so long after (us) the alert, or so long after
    its object's first detection; and whether the limit lets the alert in."""

    part: float = 0.5
    after_alert_us: int = 0
    after_first_us: int | None = None
    inside: bool = True


LIMITS = [
    Limit(part=0.0),
    Limit(part=0.9999),
    Limit(part=1.0001, inside=False),
    Limit(after_alert_us=BEFORE_US),
    Limit(after_alert_us=BEFORE_US + 1, inside=False),
    Limit(after_alert_us=-AFTER_US),
    Limit(after_alert_us=-AFTER_US - 1, inside=False),
    Limit(after_first_us=BEFORE_US),
    Limit(after_first_us=BEFORE_US + 1, inside=False),
]


@dataclass(frozen=True)
class Target:
    """An alert to put notices next to."""

    object_id: str
    time_us: int
    first_us: int
    ra_deg: float
    dec_deg: float


def targets_of(alerts: Sequence[Alerts]) -> list[Target]:
    return [
        Target(str(part.object_id[row]), int(part.time_us[row]), int(part.first_detection_us[row]), *place)
        for part in alerts
        for row, place in enumerate(zip(part.ra_deg.tolist(), part.dec_deg.tolist(), strict=True))
    ]


def write_notices(folder: Path, targets: Sequence[Target], templates: dict[str, Template]) -> dict[str, Limit]:
    """A notice for each target and limit, of one template after the other.

    Returns
    -------
    dict
        Trigger id and object that each notice is about, joined by a blank -> its limit.
    """
    folder.mkdir()
    made = {}
    names = list(templates)
    for number, ((place, target), limit) in enumerate(product(enumerate(targets), LIMITS), start=1000):
        template = templates[names[place % len(names)]]
        since = target.time_us + limit.after_alert_us
        if limit.after_first_us is not None:
            since = target.first_us + limit.after_first_us
        here = rewritten(template.body, number, since, target.ra_deg, target.dec_deg, template.radius_deg)
        notice = notice_of(here)
        assert isinstance(notice.localisation, Cone)
        assert notice.localisation.radius_deg == template.radius_deg
        away_deg = limit.part * template.searched_deg(notice.localisation)
        angle = (number * 137.5 % 360) * u.deg
        lon, lat = offset_by(target.ra_deg * u.deg, target.dec_deg * u.deg, angle, away_deg * u.deg)
        body = rewritten(template.body, number, since, float(lon.deg % 360), float(lat.deg), template.radius_deg)
        assert notice_of(body).trigger_time_us == since
        (folder / f"{number}.xml").write_bytes(body)
        made[f"{notice.trigger_id} {target.object_id}"] = limit
    return made


def notice_of(body: bytes) -> Notice:
    return read_voevent(Message(body, "rewritten"))


def check_each_limit_shows(limits: dict[str, Limit], pairs: Pairs) -> None:
    """No notice outside a limit has its alert; of those inside, each limit has one that has it."""
    got = {f"{trigger} {name}" for trigger, name in pairs}
    assert not [name for name, limit in limits.items() if not limit.inside and name in got]
    for limit in LIMITS:
        if limit.inside:
            assert any(name in got for name, one in limits.items() if one == limit), limit


PLACES = [(0.0, 0.5), (359.9999, -30.0), (0.001, 62.0), (123.0, 89.99), (210.0, -89.9), (45.0, 90.0), (180.0, 41.8103)]
QUALITIES: list[dict[str, Any]] = [
    {},
    {"rb": 0.56},
    {"rb": 0.55},
    {"rb": None},
    {"nbad": 1},
    {"magap": 19.59},
    {"magap": 19.61},
    {"magap": 19.39},
    {"neargaia": 4.99},
    {"neargaia": 5.0},
    {"neargaia": -999.0},
    {"distpsnr1": 4.99},
    {"distpsnr1": None},
    {"ssdistnr": 4.99, "ssnamenr": "Ceres"},
    {"ssdistnr": 5.01, "ssnamenr": "Ceres"},
    {"age_d": 2.5},
    {"age_d": 19.9},
    {"age_d": 1.0, "rb": 0.9},
]
PASSING = [0, 1, 5, 9, 10, 12, 14, 15, 16, 17]
"""Which of these pass the cuts."""


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, dict[str, Limit]]:
    """Folders of made and simulated alerts, and of made notices next to the former."""
    folder = tmp_path_factory.mktemp("made")
    packets = []
    for number, quality in enumerate(QUALITIES):
        ra_deg, dec_deg = PLACES[number % len(PLACES)]
        jd = 2458849.75 + number / 7
        candidate = {"jd": jd, "jdstarthist": jd, **quality}
        candidate["jdstarthist"] -= candidate.pop("age_d", 0.0)
        alert = ztf_alert(object_id=f"made{number}", candid=number, ra=ra_deg, dec=dec_deg, **candidate)
        packets.append(container(ZTF, [alert]))
    catalogue = SchemaCatalogue()
    columns = [part for body in packets for part in read_message(Message(body, "made"), catalogue).alerts]
    packets += [timed.message.body for timed in simulate(11, NightPlan().scaled(0.02)).alerts()]
    (folder / "alerts").mkdir()
    for number, body in enumerate(packets):
        (folder / "alerts" / f"{number}.avro").write_bytes(body)
    limits = write_notices(folder / "notices", targets_of(columns), MADE)
    return folder / "alerts", folder / "notices", limits


@pytest.mark.parametrize("cuts", [True, False])
def test_made_notices_next_to_made_and_simulated_alerts(made, tmp_path, cuts):
    alerts, notices, limits = made
    pairs = searched(alerts, notices, tmp_path, cuts=cuts)
    assert pairs == expected(alerts, notices, cuts=cuts)
    check_each_limit_shows(limits, pairs)
    passing = {f"made{number}" for number in (PASSING if cuts else range(len(QUALITIES)))}
    assert {name for _, name in pairs if name.startswith("made")} == passing


@pytest.fixture(scope="module")
def moved(data_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, dict[str, Limit]]:
    """The folder of real alerts, and one of real notices moved next to some of them."""
    templates = {}
    for name, (pattern, radius_deg, searched_deg) in REAL.items():
        templates[name] = Template(min(data_dir.glob(pattern)).read_bytes(), radius_deg, searched_deg)
    alerts = data_dir / "alerts-ztf"
    whole = ztf_alerts(alerts)
    names, counts = np.unique(whole.object_id, return_counts=True)
    seen_once = np.isin(whole.object_id, names[counts == 1])  # else another alert may lie inside a limit
    young = whole.take(seen_once & (whole.time_us - whole.first_detection_us < 19 * US_PER_DAY))
    order = np.argsort(young.ra_deg)
    rows = [*order[:2], *order[-2:], *np.argsort(young.dec_deg)[-3:]]
    good = (young.reliability > 0.6) & (np.abs(young.ap_minus_psf_mag) < 0.09)
    rows += np.flatnonzero(good & ~(young.gaia_arcsec < 5.1) & ~(young.ps1_arcsec < 5.1))[:8].tolist()
    targets = targets_of([young.take(np.unique(rows))])
    assert len(targets) > 10
    folder = tmp_path_factory.mktemp("moved") / "notices"
    return alerts, folder, write_notices(folder, targets, templates)


@pytest.mark.parametrize("cuts", [True, False])
def test_real_notices_moved_next_to_real_alerts(moved, tmp_path, cuts):
    alerts, notices, limits = moved
    pairs = searched(alerts, notices, tmp_path, cuts=cuts)
    assert pairs == expected(alerts, notices, cuts=cuts)
    check_each_limit_shows(limits, pairs)


def test_real_notices_as_they_were_sent(data_dir, tmp_path):
    """None of them happens to lie near one of the alerts at the right time; nor may any be found."""
    alerts, notices = data_dir / "alerts-ztf", data_dir / "voevent" / "curated"
    pairs = searched(alerts, notices, tmp_path, cuts=False)
    assert pairs == expected(alerts, notices, cuts=False) == set()
