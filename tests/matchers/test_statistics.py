"""What coincidences are worth: known answers by hand, what must hold of any, and claims held to what happened."""

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from numpy.random import Generator

from bridges.simulator.sphere import fisher_angle_deg, offset
from broker.calibration.measures import Uniformity, reliability
from matchers import candidates
from matchers.background import Background
from matchers.counterparts import class_weights
from matchers.coverage import CELL_SHIFT, CELLS
from matchers.grb import GrbOptions, grb
from matchers.repeats import SEEN_ONCE, Repeats
from matchers.source_classes import onset_terms
from matchers.statistics import Assessment, assess, expected_chance
from matchers.unrelated import UNMEASURED
from matchers.visibility import CLASSES, CounterpartOptions, Visibility
from schemas.annotations import Annotation, Answer
from schemas.localisation import Cone, Localisation, Systematics
from schemas.pixels import DEG2_PER_SR, pixels_of
from schemas.records import Coincidence, Link, Messenger, Trigger, Window
from schemas.shapes import Fisher
from schemas.statistics import LightCurveEvidence, SourceClass, Statistics
from schemas.times import US_PER_DAY
from tests.matchers.made import DAY, MINUTE, T0, notice_of, trigger_of
from tests.matchers.skies import Seen, Sky, cells_near, every_night, placed, standing
from tests.matchers.test_searched_sky import gridded

OPTIONS = CounterpartOptions()
SWIFT = Cone(10.0, 20.0, 0.05, 0.9)
RATE = 0.01
HOUR = 60 * MINUTE


def searched(localisation: Localisation = SWIFT, **told: object) -> tuple[Trigger, Window]:
    trigger = trigger_of(notice_of(localisation=localisation, **told))
    window = grb("grb", GrbOptions(level=0.9)).window(trigger)
    assert window is not None
    return trigger, window


def known(visit_us: np.ndarray, rate: float = RATE, depth_mag: float = 20.5) -> dict[str, Background]:
    """A background of one rate everywhere, with these visits."""
    coverage = Sky.of(np.random.default_rng(0), visit_us, 0.0).coverage
    nothing = np.zeros(4)
    return {"ztf": Background("ztf", UNMEASURED, np.full(CELLS, rate), depth_mag, coverage, nothing, nothing, 0)}


def at(trigger: Trigger, offset_deg: float, time_us: int, name: str = "a") -> Coincidence:
    """A candidate so far north of the peak."""
    assert trigger.skymap is not None
    ra, dec = trigger.skymap.peak_ra_deg, trigger.skymap.peak_dec_deg + offset_deg
    where = np.array([ra]), np.array([dec])
    pixel = pixels_of(*where)
    level, density = trigger.skymap.credible_level(*where, pixel), trigger.skymap.density_per_sr(*where, pixel)
    return placed(trigger, name, ra, dec, time_us, float(level[0]), float(density[0]))


def worth(
    trigger: Trigger,
    window: Window,
    found: list[Coincidence],
    backgrounds: dict[str, Background],
    now_us: int = T0 + 60 * DAY,
) -> list[Statistics]:
    return assess(trigger, window, found, backgrounds, triggers_per_year=240.0, now_us=now_us)


def test_one_candidate_by_hand():
    """Swift's circle is small against a cell: three visited nights until now, the candidate on the first of them."""
    trigger, window = searched()
    one = at(trigger, 0.02, T0 + HOUR)
    (found,) = worth(trigger, window, [one], known(every_night(range(12))), now_us=T0 + 2 * DAY + 2 * HOUR)

    area_deg2 = math.pi * 0.02**2
    as_near = RATE * area_deg2 * (1 + 1 / 2 + 1 / 3)
    assert found.expected_chance == pytest.approx(RATE * math.pi * 0.05**2 * 3, rel=1e-3)
    assert found.chance_probability == pytest.approx(-math.expm1(-as_near), rel=0.02)
    assert found.far_per_year == pytest.approx(240 * as_near, rel=0.02)
    assert found.observed_fraction == pytest.approx(0.9, abs=0.01)
    assert found.background_per_deg2_night == RATE

    day = np.array([1 / 24, 25 / 24, 49 / 24])
    visibility = Visibility(OPTIONS, 20.5, None)
    bright, chances = visibility.bright(day), visibility.chances(day[:, None], np.ones((3, 1), bool))[:, :, 0]
    priors = np.array([0.94, 0.01, 0.05])
    density = one.probability_density_per_sr / DEG2_PER_SR
    # Its packet knows of no visit before, so that the first of its cell is the one.
    # It was seen once, though the place was looked at in the nights that followed.
    seen_once = SEEN_ONCE / Repeats.FALLBACK.once[0]
    weight = density / RATE * priors * chances[:, 0] * bright[:, 0] * seen_once
    q = found.observed_fraction * float(priors @ (chances * bright).sum(axis=1))
    assert found.weight == pytest.approx(weight.sum(), rel=1e-6)
    assert found.posterior == pytest.approx(weight.sum() / (weight.sum() + 1 - q), rel=1e-3)
    assert found.posterior_none == pytest.approx(1 - found.posterior)
    assert list(found.class_posteriors) == ["afterglow", "kilonova", "supernova"]
    assert found.class_posteriors["afterglow"] == pytest.approx(weight[0] / (weight.sum() + 1 - q), rel=1e-3)
    assert found.rank == 1
    assert (found.host_distance_mpc, found.credible_level_3d) == (None, None)


def test_what_unrelated_nights_cost_falls_with_the_night_of_the_candidate():
    """Two of three nights: s = 2 rate A, which on its nights one, two and three holds 2 A, A and 2/3 A."""
    trigger, window = searched()
    one = at(trigger, 0.02, T0 + DAY + HOUR)
    (found,) = worth(trigger, window, [one], known(every_night(range(3))))
    assert found.chance_probability == pytest.approx(RATE * math.pi * 0.02**2 * (2 + 1 + 2 / 3), rel=0.02)


def test_without_any_visit_its_own_detection_is_one():
    trigger, window = searched()
    (found,) = worth(trigger, window, [at(trigger, 0.02, T0 + DAY)], known(np.zeros((0, CELLS))), now_us=0)
    assert found.expected_chance == pytest.approx(RATE * math.pi * 0.05**2, rel=1e-3)
    assert 0 < found.posterior < 1
    assert found.observed_fraction > 0.8


def test_nothing_stands_or_nothing_is_known_of_the_sky():
    trigger, window = searched()
    assert worth(trigger, window, [], known(every_night([0]))) == []
    assert worth(replace(trigger, skymap=None), window, [at(trigger, 0.0, T0)], known(every_night([0]))) == []
    assert expected_chance(replace(trigger, skymap=None), window, {}, now_us=T0) is None
    none_of_its_survey = worth(trigger, window, [at(trigger, 0.0, T0 + HOUR)], {})
    assert (none_of_its_survey[0].posterior, none_of_its_survey[0].posterior_none) == (0.0, 1.0)


def test_what_is_expected_is_told_of_triggers_without_a_coincidence_too():
    trigger, window = searched()
    backgrounds, now_us = known(every_night(range(5))), T0 + 3 * DAY
    told = expected_chance(trigger, window, backgrounds, now_us=now_us)
    assert told == pytest.approx(
        worth(trigger, window, [at(trigger, 0, T0 + HOUR)], backgrounds, now_us)[0].expected_chance
    )
    assert expected_chance(trigger, window, backgrounds, now_us=T0 - DAY) == 0.0


@pytest.mark.parametrize(
    ("better", "worse"),
    [
        ((0.01, T0 + HOUR), (0.03, T0 + HOUR)),
        ((0.01, T0 + HOUR), (0.01, T0 + 2 * DAY + HOUR)),
    ],
)
def test_nearer_and_earlier_is_better(better, worse):
    trigger, window = searched()
    found = [at(trigger, *worse, "w"), at(trigger, *better, "b")]
    made = worth(trigger, window, found, known(every_night(range(6))))
    assert made[1].posterior > made[0].posterior
    assert made[1].chance_probability <= made[0].chance_probability
    assert [one.rank for one in made] == [2, 1]
    assert made[0].posterior_none == made[1].posterior_none


def test_more_that_is_unrelated_makes_everything_less_sure():
    trigger, window = searched()
    one = [at(trigger, 0.02, T0 + HOUR)]
    (few,), (many,) = (worth(trigger, window, one, known(every_night(range(6)), rate)) for rate in (0.1, 10.0))
    assert few.posterior > many.posterior
    assert few.chance_probability < many.chance_probability
    assert few.far_per_year < many.far_per_year
    assert few.expected_chance < many.expected_chance


def test_each_rival_takes_its_share():
    trigger, window = searched()
    one, other = at(trigger, 0.02, T0 + HOUR), at(trigger, -0.02, T0 + HOUR, "b")
    backgrounds = known(every_night(range(3)), 3.0)
    (alone,), both = worth(trigger, window, [one], backgrounds), worth(trigger, window, [one, other], backgrounds)
    assert both[0].posterior < alone.posterior
    assert both[0].weight == pytest.approx(alone.weight)
    assert sum(found.posterior for found in both) > alone.posterior
    reverse = worth(trigger, window, [other, one], backgrounds)
    assert reverse == both[::-1]


def test_equals_are_ranked_by_their_names():
    trigger, window = searched()
    made = worth(trigger, window, [at(trigger, 0.02, T0 + HOUR, name) for name in "cab"], known(every_night([0])))
    assert [one.rank for one in made] == [3, 1, 2]


def test_statistics_may_be_taken_some_at_a_time():
    trigger, window = searched()
    found = [at(trigger, 0.001 * n, T0 + HOUR, f"o{n}") for n in range(7)]
    backgrounds, now_us = known(every_night(range(3))), T0 + 2 * DAY
    made = Assessment.of(trigger, window, found, backgrounds, triggers_per_year=240.0, now_us=now_us)
    parts = [made.statistics(slice(start, start + 3)) for start in range(0, 7, 3)]
    assert [len(part) for part in parts] == [3, 3, 1]
    assert [one for part in parts for one in part] == worth(trigger, window, found, backgrounds, now_us)


def test_many_are_told_the_same_as_few(monkeypatch):
    """Of many the sum over nights is interpolated; and positions are remembered, but not without end."""
    monkeypatch.setattr(candidates, "_MOST_PIXELS", 100)
    trigger, window = searched()
    found = [at(trigger, 0.0003 * n, T0 + (n % 2) * DAY + HOUR, f"o{n}") for n in range(160)]
    backgrounds = known(every_night(range(2)), 1.0)
    many = worth(trigger, window, found, backgrounds)
    for n in (3, 80, 159):
        (alone,) = worth(trigger, window, found[n : n + 1], backgrounds)
        assert alone.chance_probability == pytest.approx(many[n].chance_probability, rel=1e-9)
        assert alone.weight == pytest.approx(many[n].weight)
    assert len(candidates._PIXELS) < 300


def test_two_surveys_share_one_trigger():
    trigger, window = searched()
    ztf = known(every_night(range(3)))["ztf"]
    both = {"ztf": ztf, "lsst": replace(known(every_night([1]), 1.0)["ztf"], survey="lsst")}
    one = at(trigger, 0.02, T0 + HOUR)
    other = replace(one, id="z", object=replace(one.object, survey="lsst"))
    alone = worth(trigger, window, [one], {"ztf": ztf})[0]
    first, second = worth(trigger, window, [one, other], both)
    assert first.expected_chance == second.expected_chance > alone.expected_chance
    assert first.background_per_deg2_night < second.background_per_deg2_night
    assert first.posterior + second.posterior + first.posterior_none == pytest.approx(1)
    assert first.chance_probability > alone.chance_probability


def test_a_light_curve_counts_by_class_and_a_missed_visit_once():
    trigger, window = searched()
    plain = at(trigger, 0.02, T0 + DAY + HOUR)
    backgrounds = known(every_night(range(3)), 5.0)

    def with_evidence(after_s: float | None, ratios: dict[str, float]) -> Statistics:
        told = LightCurveEvidence(onset_after_s=after_s, onset_before_s=25 * 3600.0, log_likelihood_ratio=ratios)
        return worth(trigger, window, [replace(plain, evidence=told)], backgrounds)[0]

    nothing = with_evidence(None, dict.fromkeys(SourceClass, 0.0))
    assert nothing == worth(trigger, window, [plain], backgrounds)[0]
    fading = with_evidence(None, {"afterglow": 2.0, "kilonova": -1.0, "supernova": -3.0})
    for name, factor in (("afterglow", 2.0), ("kilonova", -1.0), ("supernova", -3.0)):
        before, after = nothing.class_posteriors[name], fading.class_posteriors[name]
        assert after / fading.posterior_none == pytest.approx(
            before / nothing.posterior_none * math.exp(factor), rel=1e-3
        )
    # What says the same as the visits does not count again.
    missed = with_evidence(3600.0, {name.value: term for name, term in onset_terms(3600.0, 25 * 3600.0).items()})
    assert missed.weight == pytest.approx(nothing.weight)
    # A packet that knows of no visit in between knows better than the visits to the cell.
    assert with_evidence(-3600.0, {}).weight > 5 * nothing.weight
    beyond = with_evidence(None, {"afterglow": 1e308, "kilonova": math.nan, "supernova": -1e308})
    assert beyond.posterior == pytest.approx(1.0)


def test_a_host_at_the_right_distance_counts():
    skymap = gridded(Cone(10.0, 20.0, 3.0, 0.68), 6)
    n = len(skymap.lo)
    layers = np.array([np.full(n, 150.0), np.full(n, 30.0), np.full(n, 1 / (150.0**2 + 30.0**2))])
    trigger = trigger_of(notice_of(messenger=Messenger.GRAVITATIONAL_WAVE, classification={"BNS": 0.9}))
    trigger = replace(trigger, skymap=replace(skymap, distance=layers))
    window = Window(T0, T0 + 5 * DAY, skymap.credible_region(0.9))
    plain = at(trigger, 0.5, T0 + HOUR)

    def with_host(distance_mpc: float | None) -> Statistics:
        entry = Annotation("glade", Answer.FOUND, distance_mpc=distance_mpc, distance_err_mpc=10.0)
        one = replace(plain, object=replace(plain.object, annotations=(entry,)))
        return worth(trigger, window, [one], known(every_night(range(3))))[0]

    unknown, right, wrong = with_host(None), with_host(150.0), with_host(800.0)
    assert right.weight > 10 * unknown.weight > 50 * wrong.weight
    assert right.posterior > unknown.posterior > wrong.posterior
    assert (unknown.host_distance_mpc, right.host_distance_mpc, wrong.host_distance_mpc) == (None, 150.0, 800.0)
    assert unknown.credible_level_3d is None
    assert right.credible_level_3d is not None
    assert wrong.credible_level_3d == pytest.approx(1.0)
    assert right.credible_level_3d < 0.9


@pytest.mark.parametrize(
    ("told", "shines"),
    [
        ({}, 1.0),
        ({"messenger": Messenger.X_RAY}, 1.0),
        ({"messenger": Messenger.NEUTRINO, "significance": 0.6, "significance_unit": "signalness"}, 0.06),
        ({"messenger": Messenger.NEUTRINO, "significance": 9.0, "significance_unit": "sigma"}, 0.05),
        ({"messenger": Messenger.NEUTRINO, "significance": math.nan, "significance_unit": "signalness"}, 0.0),
        ({"messenger": Messenger.GRAVITATIONAL_WAVE}, 0.1),
        ({"messenger": Messenger.GRAVITATIONAL_WAVE, "classification": {"BNS": 0.5, "NSBH": 0.25}}, 0.55),
        (
            {
                "messenger": Messenger.GRAVITATIONAL_WAVE,
                "classification": {"BNS": 0.5, "Terrestrial": 0.2},
                "params": {"event.properties.HasRemnant": "0.5"},
            },
            0.4,
        ),
        (
            {
                "messenger": Messenger.GRAVITATIONAL_WAVE,
                "classification": {"BNS": 0.5},
                "params": {"HasRemnant": "unknown"},
            },
            0.5,
        ),
    ],
)
def test_whether_anything_shines_at_all(told, shines):
    trigger = trigger_of(notice_of(**told))
    assert class_weights(trigger, OPTIONS).sum() == pytest.approx(shines)


def test_two_triggers_that_are_one_event_have_both_their_classes():
    trigger = trigger_of(notice_of(messenger=Messenger.GRAVITATIONAL_WAVE, classification={"BBH": 1.0}))
    link = Link("fermi-gbm:1", (), "gamma-ray", "Fermi", "GBM", "time and sky", 1.7, 32.0, 0.001)
    assert class_weights(trigger, OPTIONS).sum() == 0.0
    both = class_weights(replace(trigger, linked=(link,)), OPTIONS)
    assert both.sum() == pytest.approx(1.0)
    burst = class_weights(trigger_of(notice_of()), OPTIONS)
    assert burst[0] > both[0] > 0.3
    assert both[1] > 0.3


ODD = st.sampled_from([0.0, -1.0, 5e-324, 1e-300, 1e300, math.inf, -math.inf, math.nan]) | st.floats(0, 1e6)


@settings(max_examples=80)
@given(
    st.lists(st.tuples(ODD, ODD, ODD, st.floats(0, 360), st.floats(-90, 90), st.integers(-(2**62), 2**62)), max_size=4),
    st.integers(-(2**62), 2**62),
    st.booleans(),
)
@example([(0.0, 0.0, 0.0, 0.0, 0.0, 0)], 0, False)
@example([(math.inf, math.nan, math.inf, 10.0, 20.0, T0 + HOUR)] * 2, T0 + DAY, True)
def test_numbers_are_numbers_whatever_comes(rows, now_us, is_visited):
    trigger, window = searched()
    backgrounds = known(every_night(range(2) if is_visited else []))
    evidence = [LightCurveEvidence(log_likelihood_ratio={"afterglow": ratio}) for _, _, ratio, *_ in rows]
    found = [
        replace(placed(trigger, f"o{row}", ra, dec, time_us, level, density), evidence=evidence[row])
        for row, (level, density, _, ra, dec, time_us) in enumerate(rows)
    ]
    made = assess(trigger, window, found, backgrounds, triggers_per_year=1e5, now_us=now_us)
    assert sorted(one.rank for one in made) == list(range(1, len(found) + 1))
    for one in made:
        numbers = (
            one.background_per_deg2_night,
            one.observed_fraction,
            one.expected_chance,
            one.chance_probability,
            one.far_per_year,
            one.weight,
            one.posterior,
            one.posterior_none,
            *one.class_posteriors.values(),
        )
        assert all(math.isfinite(number) and number >= 0 for number in numbers)
        assert max(one.observed_fraction, one.chance_probability, one.posterior) <= 1
        assert one.posterior == pytest.approx(math.fsum(one.class_posteriors.values()))
    if made:
        assert math.fsum(one.posterior for one in made) + made[0].posterior_none == pytest.approx(1)


def moved(trigger: Trigger, window: Window, time_us: int, after_us: int) -> tuple[Trigger, Window]:
    """The same place at another time."""
    return replace(trigger, time_us=time_us), Window(time_us - 10 * MINUTE, time_us + after_us, window.region)


@pytest.mark.parametrize(("kind", "per_deg2_night"), [("gbm", 0.02), ("gbm", 0.003), ("map", 0.01), ("swift", 3.0)])
def test_the_best_of_those_that_are_all_unrelated_is_as_good_as_it_claims(kind, per_deg2_night):
    """Uneven visits, rates that are measured and not told, and as many triggers as are needed to see it."""
    random = np.random.default_rng([77, round(1000 * per_deg2_night)])
    sky = Sky.random(random, nights=12, per_deg2_night=per_deg2_night, visited=0.5)
    backgrounds = {"ztf": sky.background()}
    least, expected, found = [], 0.0, 0
    for _ in range(200):
        ra, dec = float(random.uniform(0, 360)), float(np.degrees(np.arcsin(random.uniform(-1, 1))))
        radius = float(random.lognormal(0, 0.5)) * (0.05 if kind == "swift" else 3.0)
        cone = Cone(ra, dec, radius, 0.68, Systematics.NONE_KNOWN if kind == "swift" else Systematics.GBM_FINAL)
        still, there = searched(cone)
        if kind == "map":
            skymap = gridded(cone, 6)
            still, there = replace(still, skymap=skymap), replace(there, region=skymap.credible_region(0.9))
        near = sky.found.of_cells(cells_near(there))
        trigger, window = moved(still, there, T0 + int(random.uniform(0, 7) * DAY), 5 * DAY)
        of_trigger, now_us = standing(trigger, window, near), window.end_us
        here = expected_chance(trigger, window, backgrounds, now_us=now_us)
        assert here is not None
        if here > 0:
            expected, found = expected + here, found + len(of_trigger)
            made = worth(trigger, window, of_trigger, backgrounds, now_us)
            least.append(min((one.chance_probability for one in made), default=random.uniform(-math.expm1(-here), 1)))
    assert expected == pytest.approx(found, abs=4 * math.sqrt(expected))
    p = Uniformity.of(least).p
    assert p is not None
    assert p > 0.01


def drawn(
    random: Generator, trigger: Trigger, window: Window, visit_us: np.ndarray, visibility: Visibility
) -> Seen | None:
    """The counterpart of a trigger, and when it is first found; None if never."""
    assert trigger.skymap is not None
    shape = trigger.skymap.shape
    assert isinstance(shape, Fisher)
    kappa = float(random.choice(shape.kappas, p=shape.weights))
    ra, dec = offset(shape.ra_deg, shape.dec_deg, fisher_angle_deg(random, kappa), float(random.uniform(0, 360)))
    pixel = pixels_of(np.array([ra]), np.array([dec]))
    kind = random.choice(len(CLASSES), p=class_weights(trigger, OPTIONS))
    appears, brightness = random.random(2)
    for time_us in visit_us[:, pixel[0] >> CELL_SHIFT]:
        delay_d = np.array([(time_us - trigger.time_us) / US_PER_DAY])
        if (
            window.start_us <= time_us <= window.end_us
            and appears < visibility.appeared(delay_d)[kind, 0]
            and brightness < visibility.bright(delay_d)[kind, 0]
            and random.random() < visibility.found
        ):
            return Seen(pixel, np.array([time_us]))
    return None


class Untold(Repeats):
    """Of a world in which everything is seen once, whatever it is."""

    def ratios(
        self,
        seen: np.ndarray,  # noqa: ARG002
        looked: np.ndarray,  # noqa: ARG002
        still_bright: np.ndarray,
        g_minus_r: np.ndarray,  # noqa: ARG002
        cell: np.ndarray,  # noqa: ARG002
    ) -> np.ndarray:
        return np.ones_like(still_bright)


@pytest.mark.not_measured
def test_posteriors_are_calibrated_where_the_truth_is_as_assumed():
    random = np.random.default_rng(20)
    claimed, true, none, without = [], [], 0.0, 0
    sky = Sky.random(random, nights=14, per_deg2_night=0.1, visited=0.5)
    backgrounds = {"ztf": replace(sky.background(), repeats=Untold(Repeats.FALLBACK.once))}
    visibility = Visibility(OPTIONS, backgrounds["ztf"].depth_mag, None)
    for _ in range(600):
        ra, dec = float(random.uniform(0, 360)), float(np.degrees(np.arcsin(random.uniform(-1, 1))))
        still, there = searched(Cone(ra, dec, float(random.uniform(0.2, 1.0)), 0.68))
        near = sky.found.of_cells(cells_near(there))
        for _ in range(2):
            trigger, window = moved(still, there, T0 + int(random.uniform(0, 7) * DAY), 6 * DAY)
            of_trigger = standing(trigger, window, near)
            counterpart = drawn(random, trigger, window, sky.visit_us, visibility)
            if counterpart is not None:
                of_trigger += [replace(one, id="true") for one in standing(trigger, window, counterpart)]
            made = worth(trigger, window, of_trigger, backgrounds, window.end_us)
            claimed += [one.posterior for one in made]
            true += [one.id == "true" for one in of_trigger]
            if made:
                none, without = none + made[0].posterior_none, without + all(one.id != "true" for one in of_trigger)
    assert none == pytest.approx(without, rel=0.05)
    bins = [each for each in reliability(claimed, true) if each.count >= 50]
    assert len(bins) >= 4
    for each in bins:
        spread = math.sqrt(each.claimed * (1 - each.claimed) / each.count)
        assert each.true == pytest.approx(each.claimed, abs=max(0.05, 2.5 * spread))


def test_candidates_of_no_cell_of_the_region_are_taken():
    """On its border the middle of a cell may lie outside."""
    trigger, window = searched(Cone(10.0, 20.0, 3.0, 0.68))
    far = at(trigger, 30.0, T0 + HOUR)
    (found,) = worth(trigger, window, [far], known(every_night(range(3))))
    assert found.posterior < 1e-6
