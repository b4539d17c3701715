"""The whole simulation: what happens, who sees it, and which messages that makes, in order of time."""

import heapq
import io
import json
import tarfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import chain, count, groupby, islice, product
from pathlib import Path

import numpy as np
from numpy.random import Generator

from bridges.simulator.bursts import Event, fermi_chain, neutrino_chain, subthreshold_notice, swift_chain
from bridges.simulator.columns import columns_of, known_stars, origin_of
from bridges.simulator.contaminants import Names, contaminants
from bridges.simulator.detections import Camera, Detection, Nature, Neighbours, Source, night_number
from bridges.simulator.light_curves import Afterglow, Kilonova, LightCurve, Supernova, Together
from bridges.simulator.mergers import Arc, draw_map, lvk_alert, superevent_name
from bridges.simulator.packets import PacketWriter
from bridges.simulator.plan import NightPlan
from bridges.simulator.sphere import isotropic
from bridges.simulator.survey import observe
from bridges.simulator.truth import Injection, injection
from bridges.simulator.voevents import ClassicNotice
from schemas.records import Alerts, Message
from schemas.times import US_PER_DAY, US_PER_S, datetime_from_us

LAST_NIGHT = 9_200
"""The last night (in 2042) whose detections have numbers that fit 64 bits."""

_TRIES = 5_000
_LEAST_SPREAD_D = 0.5
"""Events of a kind are spread over so much time, however short the plan is: two at once would be taken for one."""
_WITH_SUPERNOVA = 1 / 30
_REDDENING = 1.5
"""How much steeper a magnitude of dust in r makes a spectrum between r and g: by 0.45 mag of colour, as in the Small
Magellanic Cloud (Pei 1992, ApJ 395, 130)."""
_LETTERS = "abcdefghijklmnopqrstuvwxyz"


@dataclass(frozen=True, slots=True)
class TimedMessage:
    """A message and when it comes.

    Attributes
    ----------
    time_us
        Start of the exposure for an alert, issue for a notice: the clock that a replay uses too.
    """

    time_us: int
    message: Message


@dataclass(frozen=True, slots=True, eq=False)
class SimulatedNight:
    """A simulated span of nights. The same seed and plan give the same messages, byte for byte.

    Attributes
    ----------
    injections
        The truth, in order of the events' time.
    alert_count
        How many survey packets `messages` brings.
    """

    seed: int
    plan: NightPlan
    injections: tuple[Injection, ...]
    _notices: tuple[TimedMessage, ...] = field(repr=False)
    _seen: tuple[tuple[Detection, ...], ...] = field(repr=False)
    _camera: Camera = field(repr=False)

    @property
    def alert_count(self) -> int:
        """Number of survey packets."""
        return sum(d.time_us >= self.plan.start_us for seen in self._seen for d in seen)

    def messages(self) -> Iterator[TimedMessage]:
        """Alerts and notices in order of time. Packets are made one by one, as they are asked for."""
        return heapq.merge(self.alerts(), self.notices(), key=lambda timed: timed.time_us)

    def notices(self) -> Iterator[TimedMessage]:
        """The notices alone, in order of issue."""
        return iter(self._notices)

    def alerts(self) -> Iterator[TimedMessage]:
        """The survey's packets alone, in order of observation."""
        writer = PacketWriter(self.seed, self._camera.visits)
        entries: dict[int, bytes] = {}
        order = sorted(
            (detection.time_us, detection.candid, seen, number)
            for seen in self._seen
            for number, detection in enumerate(seen)
            if detection.time_us >= self.plan.start_us
        )
        for time_us, _, seen, number in order:
            body = self._packet(writer, entries, seen, number)
            night = f"{datetime_from_us(time_us):%Y%m%d}"
            message = Message(body, origin_of(seen[number]), f"ztf_{night}_simulated")
            yield TimedMessage(time_us, message)

    def columns(self) -> Alerts:
        """All alerts as the reader makes them of the packets, in order of time, without the packets."""
        return columns_of(self._seen, self._camera, self.plan)

    def known_stars(self, per_field: int) -> Alerts:
        """What the exposures bring besides: see `bridges.simulator.columns.known_stars`."""
        random = np.random.default_rng([self.seed, 62])
        return known_stars(random, self._camera.visits, self.plan.start_us, per_field)

    def write(self, folder: Path) -> None:
        """Write ``alerts/`` (one tar a night, as ZTF's public archive), ``notices/`` and ``truth.json``.

        `starcross replay --alerts FOLDER/alerts --notices FOLDER/notices` reads them.
        """
        alerts, notices = folder / "alerts", folder / "notices"
        alerts.mkdir(parents=True, exist_ok=True)
        notices.mkdir(parents=True, exist_ok=True)
        for archive, members in groupby(self.alerts(), key=lambda timed: timed.message.origin.split("/")[0]):
            with tarfile.open(alerts / archive, "w", format=tarfile.USTAR_FORMAT) as tar:
                for timed in members:
                    member = tarfile.TarInfo(timed.message.origin.split("/")[1])
                    member.size, member.mtime = len(timed.message.body), timed.time_us // US_PER_S
                    tar.addfile(member, io.BytesIO(timed.message.body))
        for timed in self._notices:
            (notices / timed.message.origin).write_bytes(timed.message.body)
        truth = [found.row() for found in self.injections]
        (folder / "truth.json").write_text(json.dumps(truth, indent=2) + "\n", encoding="utf-8")

    def _packet(
        self, writer: PacketWriter, entries: dict[int, bytes], seen: tuple[Detection, ...], number: int
    ) -> bytes:
        detection, times = seen[number], self._camera.visits.time_us
        since_us = detection.time_us - int(self.plan.history_d * US_PER_DAY)
        history: list[tuple[int, bytes]] = []
        for earlier in seen[:number]:
            if earlier.time_us >= since_us:
                entry = entries.get(earlier.candid) or entries.setdefault(earlier.candid, writer.entry(earlier))
                history.append((earlier.time_us, entry))
        rows = self._camera.rows_at(detection.source.ra_deg, detection.source.dec_deg)
        shown = {earlier.visit for earlier in seen[:number]}
        history.extend(
            (int(times[row]), writer.limit(int(row), detection.rcid))
            for row in rows
            if since_us <= times[row] < detection.time_us and int(row) not in shown
        )
        history.sort()
        known = detection.source.known_since_us
        first_us = seen[0].time_us if known is None else min(known, seen[0].time_us)
        covered = int((times[rows] <= detection.time_us).sum())
        return writer.packet(detection, [entry for _, entry in history], first_us, covered)


def simulate(seed: int, plan: NightPlan | None = None) -> SimulatedNight:
    """Simulate the nights of a plan (by default the demo's).

    Raises
    ------
    ValueError
        If the plan cannot be fulfilled: too crowded, too late, or no event of a wanted kind comes up.
    """
    plan = NightPlan() if plan is None else plan
    if night_number(plan.start_us) + plan.nights + 1 > LAST_NIGHT:
        raise ValueError(f"the plan ends after 2042: detections from {plan.start} on have no 64-bit numbers")
    streams = (np.random.default_rng([seed, number]) for number in count())
    visits_random, noise, sky, events = islice(streams, 4)
    past_nights = int(np.ceil(plan.history_d))
    nights = range(-past_nights, plan.nights)
    visits = observe(visits_random, plan.start_us, nights, plan.cadence_nights, plan.zone_deg)
    camera = Camera(noise, visits)
    scene = _Scene(events, plan, camera, _namer(plan.start_us))
    scene.happen()
    seen = [*scene.seen, *(tuple(camera.look(s)) for s in contaminants(sky, plan, camera, scene.names))]
    return SimulatedNight(
        seed=seed,
        plan=plan,
        injections=tuple(sorted(scene.injections, key=lambda i: (i.time_us, i.trigger_id))),
        _notices=tuple(sorted(scene.notices, key=lambda timed: (timed.time_us, timed.message.origin))),
        _seen=tuple(found for found in seen if found),
        _camera=camera,
    )


def simulate_on(seed: int, plan: NightPlan | None = None) -> Iterator[TimedMessage]:
    """Messages of one span after another, each with new events, names and later times, until the calendar ends in
    2042. One span is in memory at a time."""
    plan = NightPlan() if plan is None else plan
    for number in count():
        start = datetime_from_us(plan.start_us + number * plan.nights * US_PER_DAY)
        later = replace(plan, start=f"{start:%Y-%m-%d}")
        if night_number(later.start_us) + later.nights + 1 > LAST_NIGHT:
            return
        yield from simulate(seed + (number << 32), later).messages()


class _Scene:
    """Draws what happens and collects the notices, the sources' detections and the truth."""

    def __init__(self, random: Generator, plan: NightPlan, camera: Camera, names: Names) -> None:
        self._random, self._plan, self._camera = random, plan, camera
        self.names = names
        self.notices: list[TimedMessage] = []
        self.seen: list[tuple[Detection, ...]] = []
        self.injections: list[Injection] = []
        self._number = night_number(plan.start_us) * 100
        self._letters = ("".join(some) for length in count(1) for some in product(_LETTERS, repeat=length))

    def happen(self) -> None:
        """Everything in the plan, in a fixed order."""
        plan = self._plan
        afterglow = partial(self._find, Nature.AFTERGLOW, self._afterglow, 0.3, plan.nights - 2.0)
        bursts = chain(afterglow(plan.bursts_seen, good=True), afterglow(plan.bursts_unseen, good=False))
        for number, (event, source, seen) in enumerate(bursts):
            self._burst(number, event, source, seen)
        kilonova = partial(self._find, Nature.KILONOVA, self._kilonova, 0.3, plan.nights - 3.0)
        for event, source, seen in chain(
            kilonova(plan.mergers_seen, good=True), kilonova(plan.mergers_unseen, good=False)
        ):
            self._merger(event, source, seen)
        rising = partial(self._find, Nature.NEUTRINO_SOURCE, self._rising, 0.0, plan.nights / 4)
        for event, source, seen in rising(plan.neutrinos_seen, good=True):
            trigger_id, notices = neutrino_chain(self._random, event, self._next_number() + 1_000_000)
            self._publish(notices)
            self._record(trigger_id, event, source, seen)
        for _ in range(plan.neutrinos_alone):
            event = self._event(0.0, plan.nights - 2.0)
            self._publish(neutrino_chain(self._random, event, self._next_number() + 1_000_000)[1])
        for _ in range(plan.bursts_disowned):
            self._publish(fermi_chain(self._random, self._surveyed(0.3, plan.nights - 3.0), disowned=True)[1])
        for _ in range(plan.subthreshold):
            self._publish([subthreshold_notice(self._random, self._surveyed(0.3, plan.nights - 1.0))[1]])
        for _ in range(plan.mergers_retracted):
            self._retracted(self._surveyed(0.3, plan.nights - 3.0))
        self._as_they_come()

    def _as_they_come(self) -> None:
        """The events that are drawn without a look at what the survey sees of them."""
        plan, random = self._plan, self._random
        span = plan.drawn_from_night, float(plan.nights)
        for _ in range(plan.bursts_drawn):
            event = self._event(*span)
            source, seen = self._seen_of(event, Nature.AFTERGLOW, self._any_afterglow(event))
            if random.uniform() < plan.swift_fraction:
                trigger_id, notices = swift_chain(random, event, 9_500_000 + self._next_number())
            else:
                trigger_id, notices = fermi_chain(random, event)
            self._publish(notices)
            self._record(trigger_id, event, source, seen)
        for _ in range(plan.mergers_drawn):
            event = self._event(*span)
            self._merger(event, *self._seen_of(event, Nature.KILONOVA, self._kilonova(event)))
        for _ in range(plan.neutrinos_drawn):
            event = self._event(*span)
            trigger_id, notices = neutrino_chain(random, event, self._next_number() + 1_000_000)
            self._publish(notices)
            from_space = float(next(param.value for param in notices[0].params if param.name == "signalness"))
            if random.uniform() < from_space * plan.neutrino_source_fraction:
                source, seen = self._seen_of(event, Nature.NEUTRINO_SOURCE, self._any_rising(event))
                self._record(trigger_id, event, source, seen)

    def _seen_of(self, event: Event, nature: Nature, curve: LightCurve) -> tuple[Source, list[Detection]]:
        near = Neighbours.by_chance(self._random, event.ra_deg, event.dec_deg)
        source = Source(nature, self.names(), event.ra_deg, event.dec_deg, curve, near)
        return source, self._camera.look(source)

    def _burst(self, number: int, event: Event, source: Source, seen: list[Detection]) -> None:
        """The first burst is seen by Swift and Fermi, the second by Swift alone, the others by Fermi alone."""
        if number <= 1:
            trigger_id, notices = swift_chain(self._random, event, 9_000_000 + self._next_number())
            self._publish(notices)
            self._record(trigger_id, event, source, seen)
        if number != 1:
            trigger_id, notices = fermi_chain(self._random, event)
            self._publish(notices)
            self._record(trigger_id, event, source, seen)

    def _merger(self, event: Event, source: Source, seen: list[Detection]) -> None:
        """A first map within minutes, a better one a day later."""
        name = superevent_name(event.time_us, next(self._letters))
        assert isinstance(source.light_curve, Kilonova)  # noqa: S101 - _find was asked for kilonovae
        early = self._arc()
        late = replace(early, width_deg=early.width_deg / 2, length_deg=early.length_deg / 2)
        for kind, delay_s, arc in (("PRELIMINARY", 300, early), ("UPDATE", 86_400, late)):
            skymap = draw_map(self._random, event, arc, source.light_curve.distance_mpc)
            issued_us = (event.time_us // US_PER_S + delay_s) * US_PER_S
            self._publish_gw(name, kind, issued_us, lvk_alert(name, event, kind, issued_us, skymap))
        self._record(f"lvk:{name}", event, source, seen)

    def _arc(self) -> Arc:
        """The shape of a preliminary map: some hundred to two thousand square degrees."""
        width, length = self._random.lognormal([np.log(3.5), np.log(22.0)], 0.3)
        return Arc(float(self._random.uniform(35.0, 100.0)), float(width), float(length))

    def _retracted(self, event: Event) -> None:
        """A candidate that is taken back after a day and a half, when its neighbourhood has been observed."""
        name = superevent_name(event.time_us, next(self._letters))
        for kind, delay_s in (("PRELIMINARY", 300), ("RETRACTION", 130_000)):
            skymap = None if kind == "RETRACTION" else draw_map(self._random, event, self._arc(), 200.0)
            issued_us = (event.time_us // US_PER_S + delay_s) * US_PER_S
            self._publish_gw(name, kind, issued_us, lvk_alert(name, event, kind, issued_us, skymap))

    def _find(
        self,
        nature: Nature,
        curve_of: Callable[[Event], LightCurve],
        from_d: float,
        to_d: float,
        wanted: int,
        *,
        good: bool,
    ) -> Iterator[tuple[Event, Source, list[Detection]]]:
        """Draw events until enough came up with a good alert, or without one."""
        for _ in range(_TRIES):
            if not wanted:
                return
            event = self._event(from_d, to_d)
            near = Neighbours.by_chance(self._random, event.ra_deg, event.dec_deg)
            source = Source(nature, "", event.ra_deg, event.dec_deg, curve_of(event), near)
            seen = self._camera.look(source)
            if any(d.is_good for d in seen) == good:
                wanted -= 1
                named = replace(source, object_id=self.names())
                yield event, named, [replace(d, source=named) for d in seen]
        if wanted:
            raise ValueError(f"no {nature} of the wanted visibility in {_TRIES} tries: the plan asks for too much")

    def _event(self, from_d: float, to_d: float) -> Event:
        to_d = max(to_d, from_d + _LEAST_SPREAD_D)
        time_us = self._plan.start_us + int(self._random.uniform(from_d, to_d) * US_PER_DAY)
        ra, dec = isotropic(self._random, 1)
        return Event(time_us, float(ra[0]), float(dec[0]))

    def _surveyed(self, from_d: float, to_d: float) -> Event:
        """An event where the survey looks often, so that it has candidates by chance."""
        while True:
            event = self._event(from_d, to_d)
            if len(self._camera.rows_at(event.ra_deg, event.dec_deg)) > self._plan.nights:
                return event

    def _afterglow(self, event: Event) -> Afterglow:
        return Afterglow(
            event.time_us,
            r_mag_at_1_d=float(self._random.normal(19.6, 1.3)),
            alpha=float(np.clip(self._random.normal(1.2, 0.25), 0.7, 2.0)),
            beta=float(self._random.normal(0.75, 0.15)),
            break_d=float(self._random.lognormal(0.6, 0.5)),
        )

    def _any_afterglow(self, event: Event) -> LightCurve:
        """As they are, and not as they are found: fainter than those of which light curves are published, and behind
        dust. A quarter is dark, by 1.4 mag and more (Greiner et al. 2011, A&A 526, A30); a third of the way into the
        first day three in five are brighter than 20.5, about as many as are found of Swift's bursts. One in thirty
        bursts is so near that its supernova is seen."""
        intrinsic_mag, dust_mag = float(self._random.normal(20.5, 1.6)), float(self._random.exponential(1.0))
        bare = self._afterglow(event)
        afterglow = replace(bare, r_mag_at_1_d=intrinsic_mag + dust_mag, beta=bare.beta + _REDDENING * dust_mag)
        if self._random.uniform() > _WITH_SUPERNOVA:
            return afterglow
        peak_mag, rise_d = float(self._random.normal(19.0, 1.0)), float(self._random.uniform(10.0, 16.0))
        return Together(afterglow, Supernova(event.time_us, peak_mag, rise_d, 0.08, 0.5))

    def _kilonova(self, event: Event) -> Kilonova:
        # Uniform in volume out to 250 Mpc.
        distance = 250.0 * float(np.cbrt(self._random.uniform(0.004, 1.0)))
        return Kilonova(event.time_us, distance, fainter_mag=float(self._random.normal(0.0, 0.3)))

    def _rising(self, event: Event) -> Supernova:
        return Supernova(
            event.time_us, peak_mag=float(self._random.uniform(15.5, 17.0)), rise_d=12.0, g_minus_r_mag=-0.1
        )

    def _any_rising(self, event: Event) -> Supernova:
        """At any distance: three in four are within reach."""
        return replace(self._rising(event), peak_mag=float(self._random.normal(19.5, 1.8)))

    def _record(self, trigger_id: str, event: Event, source: Source, seen: list[Detection]) -> None:
        # A burst that two observatories saw is recorded twice, one after the other.
        if seen and (not self.seen or tuple(seen) != self.seen[-1]):
            self.seen.append(tuple(seen))
        self.injections.append(injection(trigger_id, event, source, seen, self._camera))

    def _publish(self, notices: list[ClassicNotice]) -> None:
        for notice in notices:
            # Classic notices are dated in whole seconds.
            issued_us = notice.issued_us // US_PER_S * US_PER_S
            label = f"{datetime_from_us(issued_us):%Y%m%dT%H%M%S}_{notice.topic.rsplit('.', 1)[1]}.xml"
            self._add(issued_us, Message(notice.to_xml(), label, notice.topic))

    def _publish_gw(self, name: str, kind: str, issued_us: int, body: bytes) -> None:
        label = f"{datetime_from_us(issued_us):%Y%m%dT%H%M%S}_{name}_{kind}.json"
        self._add(issued_us, Message(body, label, "igwn.gwalert"))

    def _add(self, issued_us: int, message: Message) -> None:
        self.notices.append(TimedMessage(issued_us, message))

    def _next_number(self) -> int:
        self._number += 1
        return self._number


def _namer(start_us: int) -> Names:
    """Object names that no survey gives: SIM, the first night's number, letters."""
    numbers = count()

    def name() -> str:
        letters, rest = "", next(numbers)
        for _ in range(5):
            rest, digit = divmod(rest, len(_LETTERS))
            letters = _LETTERS[digit] + letters
        return f"SIM{night_number(start_us):04d}{letters}"

    return name
