"""Which triggers are one event: made-up ones, chance pairs by the thousand, and the bursts that Fermi and Swift saw."""

import gc
import itertools
import math
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from matchers import linking
from matchers.cases import Cases
from matchers.joint import real_pair_rate_hz
from matchers.linking import CITED, THROUGH_OTHERS, TIME_AND_SKY, LinkOptions, group_of, joined, links_of
from matchers.pair_rates import YEAR_S
from schemas.densities import skymap_of
from schemas.errors import BadInput
from schemas.localisation import Annulus, Cone, Localisation, Systematics
from schemas.pixels import pixels_of
from schemas.reading import read_voevent
from schemas.records import Link, Message, Messenger, Role, Trigger
from schemas.sky import SkyMap
from tests.matchers.made import T0, notice_of, trigger_of

S = 1_000_000
OPTIONS = LinkOptions()
GBM = Cone(30.0, -10.0, 3.0, 0.68, Systematics.GBM_GROUND)
BAT = Cone(31.0, -11.0, 0.05, 0.9)
ELSEWHERE = Cone(120.0, 40.0, 0.05, 0.9)
MISSIONS: dict[str, tuple[str, str, Messenger]] = {
    "fermi-gbm": ("Fermi", "GBM", Messenger.GAMMA_RAY),
    "fermi-gbm-subthreshold": ("Fermi", "GBM", Messenger.GAMMA_RAY),
    "swift": ("Swift", "BAT", Messenger.GAMMA_RAY),
    "swift-guano": ("Swift", "BAT-GUANO", Messenger.GAMMA_RAY),
    "svom": ("SVOM", "ECLAIRs", Messenger.GAMMA_RAY),
    "einstein-probe": ("Einstein Probe", "WXT", Messenger.X_RAY),
    "icecube": ("IceCube", "IC86", Messenger.NEUTRINO),
    "chime": ("CHIME", "FRB", Messenger.RADIO),
    "lvk": ("LVK", "H1,L1", Messenger.GRAVITATIONAL_WAVE),
    "elsewhere": ("Elsewhere", "", Messenger.OPTICAL),
}


def made(trigger_id: str, at_s: float = 0.0, where: Localisation | None = GBM, **fields: Any) -> Trigger:
    """A trigger of what its id says, so long after T0; what is no field of a notice is one of the trigger."""
    mission, instrument, messenger = MISSIONS[trigger_id.partition(":")[0]]
    told = {"mission": mission, "instrument": instrument, "messenger": messenger, "localisation": where}
    told |= {"trigger_time_us": T0 + round(at_s * S), "params": fields.pop("params", {})}
    told |= {name: fields.pop(name) for name in ("notice_type", "classification", "names") if name in fields}
    return replace(trigger_of(notice_of(trigger_id, f"ivo://{trigger_id}", **told)), **fields)


def wave(trigger_id: str = "lvk:S1", at_s: float = 0.0, where: Localisation | None = GBM, **fields: Any) -> Trigger:
    return made(trigger_id, at_s, where, **({"params": {"Group": "CBC"}, "far_hz": 1e-9} | fields))


def linked(one: Trigger, other: Trigger, options: LinkOptions = OPTIONS) -> Link | None:
    """The link to the other; it must be the same from there."""
    forth, back = links_of(one, [other], options), links_of(other, [one], options)
    assert len(forth) == len(back) <= 1
    if not forth:
        return None
    assert (forth[0].id, back[0].id) == (other.id, one.id)
    assert forth[0].delta_t_s == -back[0].delta_t_s == (other.time_us - one.time_us) / S
    assert (forth[0].overlap, forth[0].far_per_year, forth[0].by) == (
        back[0].overlap,
        back[0].far_per_year,
        back[0].by,
    )
    return forth[0]


class TestBursts:
    def test_two_instruments_see_one_burst(self) -> None:
        link = linked(made("fermi-gbm:1"), made("swift:2", 5.0, BAT, names=("GRB 200107A",)))
        assert link is not None
        assert (link.by, link.mission, link.instrument) == (TIME_AND_SKY, "Swift", "BAT")
        assert (link.messenger, link.names) == ("gamma-ray", ("GRB 200107A",))
        assert link.overlap > 100
        rates = 480 / YEAR_S, 90 / YEAR_S
        assert link.far_per_year == pytest.approx(YEAR_S * real_pair_rate_hz(*rates, 5, link.overlap))

    def test_times_that_are_all_but_equal_say_no_more_than_a_second(self) -> None:
        near, nearer = (linked(made("fermi-gbm:1"), made("swift:2", apart, BAT)) for apart in (1.0, 0.0))
        assert near is not None
        assert nearer is not None
        assert near.far_per_year == nearer.far_per_year

    @pytest.mark.parametrize(
        ("other", "apart_s", "where", "is_one"),
        [
            ("swift:2", 290.0, BAT, True),
            ("swift:2", 301.0, BAT, False),
            ("swift:2", -290.0, BAT, True),
            ("swift:2", 5.0, ELSEWHERE, False),
            ("swift:2", 290.0, Cone(50.0, -10.0, 0.05, 0.9), False),  # so far off and so late: chance
            ("fermi-gbm:2", 5.0, GBM, False),  # one instrument does not see a burst twice
            ("svom:2", 5.0, Cone(31.0, -11.0, 0.2, 0.9), True),
            ("einstein-probe:2", 500.0, Cone(31.0, -11.0, 0.05, 0.9), True),
            ("einstein-probe:2", 601.0, Cone(31.0, -11.0, 0.05, 0.9), False),
            ("icecube:2", -200.0, Cone(31.0, -11.0, 0.5, 0.9), True),
            ("icecube:2", -501.0, Cone(31.0, -11.0, 0.5, 0.9), False),
            ("chime:2", 1.0, BAT, False),
            ("elsewhere:2", 1.0, BAT, False),
            ("swift:2", 1.0, None, True),  # by chance within a second once in 365 years
        ],
    )
    def test_by_time_and_sky(self, other: str, apart_s: float, where: Localisation | None, is_one: bool) -> None:
        assert (linked(made("fermi-gbm:1"), made(other, apart_s, where)) is not None) == is_one

    def test_positions_must_not_speak_against_it(self) -> None:
        """The far tail of GBM's systematic errors, and the very second."""
        far_off = made("swift:2", 0.1, Cone(75.0, -10.0, 0.05, 0.9))
        assert linked(made("fermi-gbm:1"), far_off) is None
        link = linked(made("fermi-gbm:1"), far_off, LinkOptions(least_overlap=1e-9, far_per_year=1e9))
        assert link is not None
        assert link.overlap < 0.1

    def test_it_can_be_switched_off(self) -> None:
        options = LinkOptions(enabled=False)
        assert linked(made("fermi-gbm:1"), made("swift:2", 1.0, BAT), options) is None
        assert linked(made("fermi-gbm:1"), made("swift:2", 1.0, BAT, related=("fermi-gbm:1",)), options) is None


class TestGravitationalWaves:
    def test_a_burst_in_ravens_window(self) -> None:
        link = linked(wave(), made("fermi-gbm:1", 1.7))
        assert link is not None
        assert link.by == TIME_AND_SKY
        assert link.far_per_year == pytest.approx(YEAR_S * 1e-9 * 310 / (365 * 86400) * 6 / link.overlap)

    @pytest.mark.parametrize(
        ("wave_minus_other_s", "other", "group", "is_one"),
        [
            (-5, "fermi-gbm:1", "CBC", True),
            (1, "fermi-gbm:1", "CBC", True),
            (-5.1, "fermi-gbm:1", "CBC", False),
            (1.1, "fermi-gbm:1", "CBC", False),
            (-400, "fermi-gbm:1", "Burst", True),
            (70, "fermi-gbm:1", "Burst", False),
            (-9, "chime:1", "CBC", True),
            (3, "chime:1", "CBC", False),
            (-1, "chime:1", "Burst", False),
            (10, "icecube:1", "CBC", True),
            (11, "icecube:1", "CBC", False),
            (-450, "icecube:1", "Burst", True),
            (0, "einstein-probe:1", "CBC", False),
            (0, "lvk:S2", "CBC", False),
        ],
    )
    def test_windows(self, wave_minus_other_s: float, other: str, group: str, is_one: bool) -> None:
        options = LinkOptions(far_per_year=1.0)
        gravitational = wave(params={"Group": group})
        assert (linked(gravitational, made(other, -wave_minus_other_s, BAT), options) is not None) == is_one

    def test_a_json_alert_names_its_group_otherwise(self) -> None:
        burst = made("fermi-gbm:1", 30.0)
        for params, classes, is_one in [
            ({"event.group": "Burst"}, {}, True),
            ({"event.group": "CBC"}, {}, False),
            ({}, {"BNS": 1.0}, False),
            ({}, {}, True),
        ]:
            gravitational = wave(params=params, classification=classes)
            assert (linked(gravitational, burst, LinkOptions(far_per_year=1.0)) is not None) == is_one

    def test_targeted_searches_have_windows_and_rates_of_their_own(self) -> None:
        found = made("swift-guano:1", 15.0, BAT, far_hz=1e-5)
        link = linked(wave(far_hz=1e-7), found)
        assert link is not None
        z, most = 1e-7 * 1e-5 * 30, 2 / 86400 * 1e-3 * 30
        assert link.far_per_year == pytest.approx(YEAR_S * z * (1 + math.log(most / z)) / link.overlap)
        assert linked(wave(far_hz=1e-7), replace(found, far_hz=None)) is None

    def test_below_gbms_threshold_there_are_more(self) -> None:
        above = linked(wave(), made("fermi-gbm:1", 1.0))
        below = linked(wave(), made("fermi-gbm-subthreshold:1", 1.0, notice_type="FERMI_GBM_SUBTHRESH"))
        assert above is not None
        assert below is not None
        assert below.far_per_year == pytest.approx(above.far_per_year * 375 / 310)  # type: ignore[operator]

    def test_without_a_false_alarm_rate_none_is_told(self) -> None:
        for other in (made("fermi-gbm:1", 1.0), made("swift-guano:1", 1.0, BAT, far_hz=1e-6)):
            link = linked(wave(far_hz=None), other)
            assert link is not None
            assert link.far_per_year is None

    def test_a_true_wave_and_another_true_burst_meet_too(self) -> None:
        """However small the false-alarm rate: one wave in three days, within 11 minutes of an unmodelled search."""
        certain = wave(far_hz=1e-30, params={"Group": "Burst"})
        far_off = made("fermi-gbm:1", 300.0, Cone(52.0, -10.0, 3.0, 0.68, Systematics.GBM_GROUND))
        link = linked(certain, far_off, LinkOptions(far_per_year=100.0))
        assert link is not None
        assert link.far_per_year is not None
        assert link.far_per_year < 1e-20
        assert linked(certain, far_off) is None


class TestWhatIsNeverOne:
    @pytest.mark.parametrize(
        "odd", [{"test": True}, {"retracted": True}, {"astrophysical": False}, {"private_to": "somebody"}]
    )
    def test_with_what_is_of_another_world(self, odd: dict[str, Any]) -> None:
        one, other = made("fermi-gbm:1"), made("swift:2", 1.0, BAT, related=("fermi-gbm:1",))
        assert linked(one, other) is not None
        assert linked(one, replace(other, **odd)) is None
        assert linked(replace(one, **odd), other) is None
        both = linked(replace(one, **odd), replace(other, **odd))
        assert (both is not None) == (odd.keys() <= {"test", "private_to"})

    def test_a_trigger_with_itself(self) -> None:
        one = made("fermi-gbm:1")
        assert links_of(one, [one], OPTIONS) == ()
        assert group_of(one, [one], OPTIONS) == ()
        assert joined(one, (), ()) is one


class TestCited:
    def test_whatever_the_numbers(self) -> None:
        far_off = made("swift:2", 4000.0, Cone(60.0, -10.0, 0.05, 0.9))
        assert linked(made("fermi-gbm:1"), far_off) is None
        for one, other in [
            (made("fermi-gbm:1", related=("swift:2",)), far_off),
            (made("fermi-gbm:1"), replace(far_off, related=("fermi-gbm:1",))),
        ]:
            link = linked(one, other)
            assert link is not None
            assert (link.by, link.far_per_year) == (CITED, None)

    def test_with_what_time_and_sky_say_where_they_say_something(self) -> None:
        link = linked(wave(related=("fermi-gbm:1",)), made("fermi-gbm:1", 1.0))
        assert link is not None
        assert link.by == CITED
        assert link.far_per_year is not None

    def test_unless_the_positions_exclude_each_other(self) -> None:
        assert linked(made("swift:1", 0, BAT), made("svom:2", 1.0, ELSEWHERE, related=("swift:1",))) is None

    def test_before_there_is_a_position(self) -> None:
        link = linked(made("swift:1", 0, BAT), made("svom:2", 9000.0, None, related=("swift:1",)))
        assert link is not None
        assert link.overlap == 1


class TestGroups:
    GBM, SWIFT, EP = made("fermi-gbm:1"), made("swift:2", 20.0, BAT), made("einstein-probe:3", 330.0, BAT)
    CHIME = made("chime:4", 9000.0, BAT, related=("einstein-probe:3",))

    def ids(self, trigger: Trigger, others: Iterable[Trigger]) -> set[str]:
        group = group_of(trigger, others, OPTIONS)
        assert [member.id for member in group] == sorted(member.id for member in group)
        return {member.id for member in group}

    @given(st.permutations([0, 1, 2, 3]))
    def test_links_lead_on_whatever_the_order(self, order: list[int]) -> None:
        members = [(self.GBM, self.SWIFT, self.EP, self.CHIME)[place] for place in order]
        for member in members:
            assert self.ids(member, members) == {other.id for other in members} - {member.id}

    def test_positions_that_exclude_each_other_do_not_meet_through_a_third(self) -> None:
        """GBM's position holds both; the likelier link counts, and the same one for all three."""
        near = made("swift:2", 5.0, BAT)
        other = made("svom:3", 9.0, Cone(26.0, -8.0, 0.05, 0.9))
        three = [self.GBM, near, other]
        assert linked(self.GBM, near) is not None
        assert linked(self.GBM, other) is not None
        for members in itertools.permutations(three):
            assert self.ids(self.GBM, members) == {"swift:2"}
            assert self.ids(near, members) == {"fermi-gbm:1"}
            assert self.ids(other, members) == set()

    def test_an_observatory_knows_better_than_chance(self) -> None:
        near = made("swift:2", 1.0, BAT)
        other = made("svom:3", 9.0, Cone(26.0, -8.0, 0.05, 0.9), related=("fermi-gbm:1",))
        assert self.ids(self.GBM, [near, other]) == {"svom:3"}


class TestJoined:
    def state(self, trigger: Trigger, others: list[Trigger]) -> Trigger:
        return joined(trigger, group_of(trigger, others, OPTIONS), links_of(trigger, others, OPTIONS))

    def test_all_members_have_the_product_and_name_each_other(self) -> None:
        members = [made("fermi-gbm:1"), made("swift:2", 20.0, BAT), made("chime:4", 9.0, BAT, related=("swift:2",))]
        states = [self.state(member, members) for member in members]
        assert len({id(state.skymap) for state in states}) == 1
        for own, state in zip(members, states, strict=True):
            assert (state.id, state.time_us, state.names, state.localised_by) == (
                own.id,
                own.time_us,
                own.names,
                own.localised_by,
            )
            assert [link.id for link in state.linked] == sorted(other.id for other in members if other is not own)
        assert [link.by for link in states[0].linked] == [THROUGH_OTHERS, TIME_AND_SKY]
        assert states[0].linked[0].far_per_year is None
        skymap = states[0].skymap
        assert skymap is not None
        assert "product of 3" in skymap.model
        ra, dec = np.array([31.0]), np.array([-11.0])
        assert skymap.credible_level(ra, dec, pixels_of(ra, dec))[0] < 0.02

    def test_a_trigger_without_a_position_gets_that_of_the_others(self) -> None:
        bat = made("swift:2", 1.0, BAT)
        state = self.state(made("fermi-gbm:1", where=None), [bat])
        assert state.skymap is bat.skymap

    def test_none_has_a_position_yet(self) -> None:
        state = self.state(made("fermi-gbm:1", where=None), [made("swift:2", 1.0, None)])
        assert state.skymap is None
        assert len(state.linked) == 1

    def test_three_rings_that_do_not_meet_keep_each_its_own(self) -> None:
        def ring(trigger_id: str, ra: float, dec: float) -> Trigger:
            return made(
                trigger_id, 1.0, Annulus(ra, dec, 30.0, 0.01, 0.9), related=("fermi-gbm:1", "swift:2", "svom:3")
            )

        members = [ring("fermi-gbm:1", 0, 0), ring("swift:2", 40, 0), ring("svom:3", 20, 52)]
        state = self.state(members[0], members)
        assert len(state.linked) == 2
        assert state.skymap is members[0].skymap


class TestCost:
    def test_maps_are_compared_once_and_forgotten_with_their_triggers(self, monkeypatch: pytest.MonkeyPatch) -> None:
        compared: list[tuple[SkyMap, SkyMap]] = []

        def counting(one: SkyMap, other: SkyMap) -> float:
            compared.append((one, other))
            return 50.0

        monkeypatch.setattr(linking, "overlap", counting)
        before = len(linking._overlaps)
        one, other = made("fermi-gbm:1"), made("swift:2", 1.0, BAT)
        for _ in range(3):
            assert linked(one, other) is not None
        assert len(compared) == 1
        assert linked(one, replace(other, skymap=made("swift:2", 1.0, BAT).skymap)) is not None
        assert len(compared) == 2
        compared.clear()
        del one, other
        gc.collect()
        assert len(linking._overlaps) <= before

    def test_those_far_away_in_time_are_not_looked_at(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(linking, "overlap", lambda *_: pytest.fail("compared"))
        options = LinkOptions(gamma_ray_s=5.0, x_ray_s=5.0, neutrino_s=5.0)
        assert options.longest_s == 600
        assert OPTIONS.longest_s == 600
        assert LinkOptions(x_ray_s=5000.0).longest_s == 5000
        for other in (made("swift:2", 601.0, BAT), wave(at_s=601.0, params={"Group": "Burst"})):
            assert linked(made("fermi-gbm:1"), other) is None


@pytest.mark.not_measured
@settings(max_examples=15)
@given(st.integers(0, 2**32))
def test_chance_links_are_as_few_as_the_option_says(seed: int) -> None:
    """Unrelated bursts of GBM and BAT anywhere on the sky, within the longest time of each other."""
    random = np.random.default_rng(seed)
    options = LinkOptions(least_overlap=1e-9, far_per_year=random.uniform(0.02, 0.3))
    pairs, found = 600, 0
    for _ in range(pairs):
        ra, dec = random.uniform(0, 360, 2), np.degrees(np.arcsin(random.uniform(-1, 1, 2)))
        gbm = made("fermi-gbm:1", 0.0, Cone(ra[0], dec[0], random.uniform(1, 12), 0.68, Systematics.GBM_GROUND))
        bat = made("swift:2", random.uniform(-1, 1) * options.gamma_ray_s, Cone(ra[1], dec[1], 0.05, 0.9))
        found += len(links_of(gbm, [bat], options))
    pairs_per_year = YEAR_S * (480 / YEAR_S) * (90 / YEAR_S) * 2 * options.gamma_ray_s
    most = options.far_per_year / pairs_per_year * pairs
    assert found <= most + 5 * math.sqrt(most) + 1


# --- what Fermi and Swift saw ---

UNKEYED = {
    "140429_swift597570_fermi420470011": False,  # no burst, by Swift; positions 80 to 1 against each other
    "160216_swift673978_fermi477342778": False,  # 143 s apart, positions exclude each other
    "160623_swift701182_fermi488402684": False,  # no burst, by Swift, though it is the one that GBM saw
    "160625_swift701503_fermi488587220": False,  # 15 s apart, positions exclude each other
    "160626_swift701590_fermi488642074": False,  # no burst, by Swift, though it is the one that GBM saw
    "181020_swift867987_fermi561754838": True,
    "231028_swift1193078_fermi720158951": True,
}


def heard(folder: Path) -> list[Trigger]:
    """The triggers of a folder's notices."""
    cases = Cases()
    for file in sorted(folder.glob("*.xml")):
        try:
            notice = read_voevent(Message(file.read_bytes(), file.name))
        except BadInput:
            continue
        if notice.role is not Role.UTILITY:
            cases.hear(notice, skymap_of(notice.localisation) if notice.localisation else None, T0)
    return [case.trigger for _, case in cases.items() if case.trigger is not None]


def pair_in(triggers: list[Trigger]) -> tuple[Trigger, Trigger]:
    gbm = next(trigger for trigger in triggers if trigger.id.startswith("fermi-gbm:"))
    swift = next(trigger for trigger in triggers if trigger.id.startswith("swift:"))
    return gbm, swift


def test_bursts_that_fermi_and_swift_saw(data_dir: Path) -> None:
    folders = sorted((data_dir / "voevent/curated").glob("PAIR_true_*"))
    assert len(folders) >= 25
    for folder in folders:
        triggers = heard(folder)
        gbm, swift = pair_in(triggers)
        assert swift.skymap is not None
        state = joined(gbm, group_of(gbm, triggers, OPTIONS), links_of(gbm, triggers, OPTIONS))
        assert [link.id for link in state.linked] == [swift.id], folder.name
        assert state.skymap is not None
        ra, dec = np.array([swift.skymap.peak_ra_deg]), np.array([swift.skymap.peak_dec_deg])
        assert state.skymap.credible_level(ra, dec, pixels_of(ra, dec))[0] < 0.01, folder.name
        assert state.skymap.area_deg2(0.9) == pytest.approx(swift.skymap.area_deg2(0.9), rel=0.02), folder.name


def test_pairs_of_which_nobody_says_so(data_dir: Path) -> None:
    folders = sorted((data_dir / "voevent/curated").glob("PAIR_unkeyed_*"))
    found = {}
    for folder in folders:
        triggers = heard(folder)
        gbm, swift = pair_in(triggers)
        found[folder.name.removeprefix("PAIR_unkeyed_")] = swift.id in {
            link.id for link in links_of(gbm, triggers, OPTIONS)
        }
    assert found == UNKEYED


def test_bursts_with_the_wrong_partner(data_dir: Path) -> None:
    """Each of GBM's with each other one of Swift's, as many seconds apart as a right pair may be."""
    pairs = [pair_in(heard(folder)) for folder in sorted((data_dir / "voevent/curated").glob("PAIR_true_*"))]
    random = np.random.default_rng(11)
    tried = found = 0
    for (gbm, _), (_, swift) in itertools.permutations(pairs, 2):
        for apart_s in random.uniform(-OPTIONS.gamma_ray_s, OPTIONS.gamma_ray_s, 5):
            tried += 1
            moved = replace(swift, time_us=gbm.time_us + round(apart_s * S))
            found += len(links_of(gbm, [moved], OPTIONS))
    pairs_per_year = 480 * 90 * 2 * OPTIONS.gamma_ray_s / YEAR_S
    assert tried == 3000
    assert found / tried * pairs_per_year < OPTIONS.far_per_year
