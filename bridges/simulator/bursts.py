"""The notices of gamma-ray bursts and of neutrinos, from the first alarm to the last position.

Positions are wrong by as much as their errors say: each offset is drawn from the very density that
`schemas.densities` gives to such a notice, so that credible levels of the true positions are uniform.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum

from numpy.random import Generator

from bridges.simulator.sphere import fisher_angle_deg, offset
from bridges.simulator.voevents import NOWHERE, TRUNCATED_JD_OF_UNIX_EPOCH, ClassicNotice, Param, Position, burst_day
from schemas.densities import skymap_of
from schemas.localisation import Cone, Systematics
from schemas.shapes import Fisher
from schemas.times import US_PER_DAY, US_PER_S, datetime_from_us, iso_from_us, us_from_iso

_MET_EPOCH_US = us_from_iso("2001-01-01T00:00:00")
_LEAP_SECONDS_SINCE_2001 = 5
_GAMMA = "process.variation.burst;em.gamma"


class GbmClass(IntEnum):
    """What Fermi GBM's flight software takes a trigger for (`Most_Likely_Index`)."""

    BURST = 4
    DISTANT_PARTICLES = 7


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened: when, and truly where."""

    time_us: int
    ra_deg: float
    dec_deg: float


def mission_elapsed_s(time_us: int) -> int:
    """Fermi's mission elapsed time: SI seconds since 2001-01-01 UTC."""
    return (time_us - _MET_EPOCH_US) // US_PER_S + _LEAP_SECONDS_SINCE_2001


def misplaced(random: Generator, event: Event, radius_deg: float, containment: float, model: Systematics) -> Position:
    """A reported position for an event, with an error drawn from the density of such reports."""
    shape = skymap_of(Cone(event.ra_deg, event.dec_deg, radius_deg, containment, model)).shape
    assert isinstance(shape, Fisher)  # noqa: S101 - cones are
    kappa = float(random.choice(shape.kappas, p=shape.weights))
    distance_deg, angle_deg = fisher_angle_deg(random, kappa), float(random.uniform(0.0, 360.0))
    ra_deg, dec_deg = offset(event.ra_deg, event.dec_deg, distance_deg, angle_deg)
    return Position(ra_deg, dec_deg, radius_deg)


def fermi_chain(random: Generator, event: Event, *, disowned: bool = False) -> tuple[str, list[ClassicNotice]]:
    """Fermi GBM's alert, flight, ground and final position of a burst, and its trigger id.

    Parameters
    ----------
    disowned
        The second flight position then says that it was particles after all, and nothing follows.
    """
    trigger = str(mission_elapsed_s(event.time_us))
    when = iso_from_us(event.time_us)[:22]
    day = datetime_from_us(event.time_us)
    name = f"bn{day:%y%m%d}{event.time_us % US_PER_DAY * 1000 // US_PER_DAY:03d}"
    url = f"https://example.org/simulated/{name}/glg_lc_medres34_{name}.gif"
    significance = round(float(random.uniform(5.0, 30.0)), 1)
    # Brighter bursts are placed better; the medians are those of real notices, 8, 5 and 4 deg.
    quality = float(random.lognormal(0.0, 0.5))

    def notice(
        stage: str, code: int, delay_s: float, position: Position, *, extra: Sequence[Param], cites: str = ""
    ) -> ClassicNotice:
        sequence = max(1, int(delay_s))
        return ClassicNotice(
            stream="Fermi",
            local_id=f"GBM_{stage}_{when}_{trigger}_{sequence}-{code}",
            topic=f"gcn.classic.voevent.FERMI_GBM_{stage.upper()}",
            instrument="Fermi Satellite, GBM Instrument",
            issued_us=event.time_us + int(delay_s * US_PER_S),
            event_us=event.time_us,
            position=position,
            params=[
                Param("Packet_Type", code),
                Param("TrigID", trigger, ucd="meta.id"),
                Param("Sequence_Num", sequence, ucd="meta.id.part"),
                *burst_day(event.time_us),
                *extra,
                Param("Test_Submission", value=True, group="Trigger_ID"),
                Param("LightCurve_URL", url, ucd="meta.ref.url"),
                Param("Coords_String", "unavailable/inappropriate" if position is NOWHERE else "source_object"),
            ],
            concept=_GAMMA,
            cites=cites,
        )

    def place(median_deg: float, model: Systematics) -> Position:
        return misplaced(random, event, round(max(1.0, median_deg * quality), 4), 0.68, model)

    def flight(delay_s: float, kind: GbmClass, percent: int) -> ClassicNotice:
        extra = [
            Param("Data_Signif", significance, "sigma", "stat.snr"),
            Param("Most_Likely_Index", int(kind)),
            Param("Most_Likely_Prob", percent),
            Param("Def_NOT_a_GRB", value=kind is not GbmClass.BURST, group="Trigger_ID"),
        ]
        position = place(8.0, Systematics.GBM_FLIGHT)
        return notice("Flt_Pos", 111, delay_s, position, extra=extra, cites=alert.ivorn)

    rate = [Param("Trig_Signif", significance, "sigma", "stat.snr")]
    alert = notice("Alert", 110, 5.0, NOWHERE, extra=rate)
    chain = [alert, flight(24.0, GbmClass.BURST, int(random.integers(80, 98)))]
    if disowned:
        # The other notices wait for a person: hours, in which candidates are already proposed.
        chain.append(flight(1.6 * 86_400, GbmClass.DISTANT_PARTICLES, 97))
        return f"fermi-gbm:{trigger}", chain
    length = "Short" if random.uniform() < 0.17 else "Long"  # noqa: PLR2004 - the fraction in GBM's catalogue
    not_burst = Param("Def_NOT_a_GRB", value=False, group="Trigger_ID")
    ground = [Param("Burst_Signif", significance, "sigma", "stat.snr"), not_burst]
    position = place(5.0, Systematics.GBM_GROUND)
    chain.append(notice("Gnd_Pos", 112, 60.0, position, extra=ground, cites=alert.ivorn))
    final = [
        Param("Burst_Signif", "0.00", "sigma", "stat.snr"),
        not_burst,
        Param("Long_short", length, group="Trigger_ID"),
    ]
    position = place(4.0, Systematics.GBM_FINAL)
    chain.append(notice("Fin_Pos", 115, 900.0, position, extra=final, cites=alert.ivorn))
    return f"fermi-gbm:{trigger}", chain


def swift_chain(random: Generator, event: Event, number: int) -> tuple[str, list[ClassicNotice]]:
    """Swift's BAT position (3 arcmin, 90 %) and XRT position (some arcsec), and the trigger id."""
    trigger = str(number)

    def notice(
        instrument: str,
        code: int,
        delay_s: float,
        *,
        time_us: int,
        radius_deg: float,
        extra: Sequence[Param],
        cites: str = "",
    ) -> ClassicNotice:
        short = "GRB_Pos" if instrument == "BAT" else "Pos"
        topic = "SWIFT_BAT_GRB_POS_ACK" if instrument == "BAT" else "SWIFT_XRT_POSITION"
        return ClassicNotice(
            stream="SWIFT",
            local_id=f"{instrument}_{short}_{trigger}-{code}",
            topic=f"gcn.classic.voevent.{topic}",
            instrument=f"Swift Satellite, {instrument} Instrument",
            issued_us=event.time_us + int(delay_s * US_PER_S),
            event_us=time_us,
            position=misplaced(random, event, radius_deg, 0.9, Systematics.NONE_KNOWN),
            params=[
                Param("Packet_Type", code),
                Param("TrigID", trigger, ucd="meta.id"),
                *burst_day(time_us),
                *extra,
                Param("Def_NOT_a_GRB", value=False, group="Solution_Status"),
                Param("Test_Submission", value=True, group="Solution_Status"),
                Param("Coords_String", "source_object"),
            ],
            concept=_GAMMA,
            cites=cites,
        )

    image = [
        Param("Rate_Signif", round(float(random.uniform(7.0, 25.0)), 2), "sigma", "stat.snr"),
        Param("Image_Signif", round(float(random.uniform(6.5, 15.0)), 2), "sigma", "stat.snr"),
        Param("Point_Source", value=True, group="Solution_Status"),
        Param("GRB_Identified", value=True, group="Solution_Status"),
        Param("StarTrack_Lost_Lock", value=False, group="Solution_Status"),
    ]
    bat = notice("BAT", 61, 22.0, time_us=event.time_us, radius_deg=0.05, extra=image)
    # An XRT notice gives the time at which XRT looked, not that of the burst.
    looked_us = event.time_us + int(random.uniform(70.0, 150.0) * US_PER_S)
    flux = [Param("Burst_Inten", f"{10 ** random.uniform(-10.5, -9.0):.2e}", "erg/cm2/sec", "em.X-ray")]
    xrt = notice("XRT", 67, 240.0, time_us=looked_us, radius_deg=0.0014, extra=flux, cites=bat.ivorn)
    return f"swift:{trigger}", [bat, xrt]


def neutrino_chain(random: Generator, event: Event, run: int) -> tuple[str, list[ClassicNotice]]:
    """IceCube's GOLD track at once and again with a better position, and the trigger id."""
    number = int(random.integers(1_000_000, 90_000_000))
    when = iso_from_us(event.time_us)[:22]
    signalness = round(float(random.uniform(0.5, 0.9)), 4)

    def notice(revision: int, delay_s: float, radius_deg: float) -> ClassicNotice:
        days, rest = divmod(event.time_us, US_PER_DAY)
        return ClassicNotice(
            stream="AMON",
            local_id=f"ICECUBE_GOLD_Event{when}_24_{run}_{number:09d}_{revision}",
            topic="gcn.classic.voevent.ICECUBE_ASTROTRACK_GOLD",
            instrument="IceCube",
            issued_us=event.time_us + int(delay_s * US_PER_S),
            event_us=event.time_us,
            position=misplaced(random, event, radius_deg, 0.9, Systematics.INCLUDED),
            params=[
                Param("Packet_Type", 173),
                Param("AMON_ID", f"{run}{number}", ucd="meta.id"),
                Param("run_id", run, ucd="meta.id"),
                Param("event_id", number, ucd="meta.id"),
                Param("Event_TJD", days + TRUNCATED_JD_OF_UNIX_EPOCH, "days", "time"),
                Param("Event_SOD", f"{rest / 1e6:.2f}", "sec", "time"),
                Param("Stream", 24),
                Param("Rev", revision),
                Param("signalness", signalness, ucd="stat.probability"),
                Param("FAR", "0.6000", "yr^-1", "stat.probability"),
                Param("energy", "250.0", "TeV", "phys.energy"),
                Param("src_error_90", radius_deg, "deg", "stat.error.sys"),
                Param("src_error_50", round(radius_deg * 0.549, 4), "deg", "stat.error.sys"),
                Param("Test", value=True, group="Trigger_ID"),
                Param("RADec_valid", value=False, group="Trigger_ID"),
                Param("Retraction", value=False, group="Trigger_ID"),
            ],
            concept="process.variation.burst;em",
        )

    first, better = float(random.uniform(1.0, 2.2)), float(random.uniform(0.6, 1.0))
    chain = [notice(0, 40.0, round(first, 4)), notice(1, 7200.0, round(first * better, 4))]
    return f"icecube:{run}_{number}", chain


def subthreshold_notice(random: Generator, event: Event) -> tuple[str, ClassicNotice]:
    """A sub-threshold transient of Fermi GBM, found on the ground hours later, and its trigger id."""
    number = str(mission_elapsed_s(event.time_us))
    days, rest = divmod(event.time_us, US_PER_DAY)
    radius_deg = round(float(random.uniform(10.0, 20.0)), 1)
    when = iso_from_us(event.time_us)[:22]
    notice = ClassicNotice(
        stream="Fermi",
        local_id=f"GBM_SubThresh_{when}_{number}_0-1",
        topic="gcn.classic.voevent.FERMI_GBM_SUBTHRESH",
        instrument="Fermi Satellite, GBM Instrument",
        issued_us=event.time_us + 4 * 3600 * US_PER_S,
        event_us=event.time_us,
        position=misplaced(random, event, radius_deg, 0.68, Systematics.GBM_GROUND),
        params=[
            Param("Packet_Type", 131),
            Param("Trans_Num", number, ucd="meta.id"),
            Param("Trans_TJD", days + TRUNCATED_JD_OF_UNIX_EPOCH, "days", "time"),
            Param("Trans_SOD", f"{rest / 1e6:.6f}", "sec", "time"),
            Param("Trans_Duration", "0.256", "sec", "time.interval"),
            Param("Reliability", int(random.integers(2, 7)), "dn"),
            Param("Test_Submission", value=True, group="Trigger_ID"),
            Param("Spectral_class", "soft", group="Misc_Flags"),
            Param("Duration_class", "long", group="Misc_Flags"),
            Param("Coords_String", "source_object"),
        ],
        concept="process.variation.trans;em.gamma",
    )
    return f"fermi-gbm-subthreshold:{number}", notice
