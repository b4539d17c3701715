"""What calibration tells: of simulated weeks, of scrambled inputs, and of bursts that two observatories placed."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import Any, Final

import numpy as np

from broker.calibration.measures import LEAST_P, Bin, Share, Uniformity, completeness, reliability
from broker.calibration.pairs import STAGES, Pairs, StageLevel
from broker.calibration.searched import Searched

MAG_EDGES: Final = (14.0, 16.0, 17.0, 18.0, 18.5, 19.0, 19.5, 20.0, 20.5, 21.5)
AREA_EDGES: Final = (1e-6, 0.1, 1.0, 30.0, 100.0, 200.0, 400.0, 800.0, 1600.0, 42_000.0)
AGE_EDGES: Final = (0.0, 2.0, 5.0, 10.0, 20.0)
FIRST: Final = 3
LEAST_EXPECTED: Final = 0.1
"""Where fewer chance coincidences are expected there are hardly ever any, which tells nothing."""
WANTED_AMONG_FIRST: Final = 0.9
_ALL: Final = "all"
_BURSTS: Final = "gamma-ray"


@dataclass(frozen=True, slots=True)
class Reliability:
    """Claimed against true fractions of some claims.

    Attributes
    ----------
    of
        Which claims: ``all``, ``gamma-ray``, ``2 to 5 d``...
    claims, true
        How many there are, and how many of them are true.
    expected_true
        The sum of the claimed probabilities.
    """

    of: str
    claims: int
    true: int
    expected_true: float
    bins: tuple[Bin, ...]

    @classmethod
    def told(cls, of: str, claimed: Sequence[float], true: Sequence[bool]) -> "Reliability":
        """Of claims and whether each is true."""
        return cls(of, len(claimed), sum(true), float(sum(claimed)), reliability(claimed, true))

    @property
    def holds(self) -> bool:
        """Whether no bin with enough entries is off."""
        return not any(one.is_off for one in self.bins)


@dataclass(frozen=True, slots=True)
class Ranks:
    """Where true counterparts that are in the stream came among the coincidences of their triggers.

    Attributes
    ----------
    of
        Which triggers.
    in_stream
        How many of them have a counterpart with an alert that passes the cuts.
    outside
        Counterparts among them that lie outside the region that is searched, or were never a coincidence.
    first, among_first
        How many come first, and among the first `FIRST`.
    """

    of: str
    in_stream: int
    outside: int
    first: int
    among_first: int

    @classmethod
    def told(cls, of: str, searched: Iterable[Searched]) -> "Ranks":
        """Of triggers at one look."""
        seen = [one for one in searched if one.counterpart is not None and one.counterpart.in_stream]
        ranks = [claim.rank for one in seen if (claim := one.true_claim) is not None]
        return cls(of, len(seen), len(seen) - len(ranks), ranks.count(1), sum(rank <= FIRST for rank in ranks))

    @property
    def fraction(self) -> float | None:
        """Among the first of all in the stream."""
        return self.among_first / self.in_stream if self.in_stream else None

    @property
    def fraction_of_found(self) -> float | None:
        """Among the first of those inside the searched region."""
        found = self.in_stream - self.outside
        return self.among_first / found if found else None


@dataclass(frozen=True, slots=True)
class Chance:
    """Chance probabilities of triggers without a counterpart in the stream, where they must be uniform.

    Attributes
    ----------
    of
        Which triggers.
    triggers
        How many of which `LEAST_EXPECTED` coincidences are expected by chance, or more.
    expected, found
        Number of chance coincidences of all: the sum of what was expected, and how many there were.
    best
        Of the smallest chance probability of each. One that has no coincidence at all counts as anything above what a
        single one could have had, drawn at random.
    """

    of: str
    triggers: int
    expected: float
    found: int
    best: Uniformity
    values: tuple[float, ...]

    @classmethod
    def told(cls, of: str, searched: Iterable[Searched], random: np.random.Generator) -> "Chance":
        """Of triggers at one look."""
        values: list[float] = []
        expected, found = 0.0, 0
        for one in searched:
            if one.expected_chance is None:
                continue
            expected += one.expected_chance
            found += len(one.claims)
            if one.expected_chance < LEAST_EXPECTED:
                continue
            least = min((claim.chance_probability for claim in one.claims), default=None)
            values.append(float(random.uniform(-np.expm1(-one.expected_chance), 1.0)) if least is None else least)
        return cls(of, len(values), expected, found, Uniformity.of(values), tuple(values))

    @property
    def holds(self) -> bool:
        """Whether they can be uniform."""
        return self.best.p is None or self.best.p > LEAST_P


@dataclass(frozen=True, slots=True)
class SimulatedReport:
    """Simulated weeks.

    Attributes
    ----------
    weeks, seed
        How many, and which.
    triggers
        How many triggers were searched.
    reliability
        Of the posteriors: of all at the last look, by messenger, and by age at all looks.
    none
        Of the claims that none of a trigger's objects is its counterpart.
    ranks, chance
        By messenger.
    by_mag, by_area
        Of all counterparts of bursts with alerts: in how many the search has them, by peak magnitude; and of those in
        the stream, by the area of the 90 % region.
    """

    weeks: int
    seed: int
    triggers: int
    reliability: tuple[Reliability, ...]
    none: tuple[Reliability, ...]
    ranks: tuple[Ranks, ...]
    chance: tuple[Chance, ...]
    by_mag: tuple[Share, ...]
    by_area: tuple[Share, ...]

    @property
    def acceptance(self) -> dict[str, bool]:
        """What is asked of calibration, and whether it holds."""
        of_bursts = next((ranks for ranks in self.ranks if ranks.of == _BURSTS), None)
        fraction = None if of_bursts is None else of_bursts.fraction
        return {
            "claimed within 5 % of true": self.reliability[0].holds,
            "chance probabilities uniform": all(chance.holds for chance in self.chance),
            "counterpart among the first three": fraction is None or fraction >= WANTED_AMONG_FIRST,
        }

    def document(self) -> dict[str, Any]:
        """As JSON has it."""
        told = asdict(self) | {"acceptance": self.acceptance}
        for chance in told["chance"]:
            del chance["values"]
        return told


def report_of_weeks(searched: Sequence[Searched], weeks: int, seed: int) -> SimulatedReport:
    """Judge what was claimed in simulated weeks."""
    random = np.random.default_rng([seed, 61])
    last_age: dict[tuple[str, str], float] = {}
    for one in searched:
        key = (one.trigger_id, one.matcher)
        last_age[key] = max(one.age_d, last_age.get(key, 0.0))
    last = [one for one in searched if one.age_d == last_age[one.trigger_id, one.matcher]]
    messengers = sorted({one.messenger for one in last})
    groups = {_ALL: last} | {name: [one for one in last if one.messenger == name] for name in messengers}
    ages = {
        f"{low:g} to {high:g} d": [one for one in searched if low <= one.age_d < high]
        for low, high in pairwise(AGE_EDGES)
    }
    alone = [one for one in last if one.counterpart is None or not one.counterpart.in_stream]
    of_bursts = [
        (one, one.counterpart) for one in groups.get(_BURSTS, ()) if one.counterpart and one.counterpart.peak_mag
    ]
    in_stream = [one for one, counterpart in of_bursts if counterpart.in_stream]
    return SimulatedReport(
        weeks=weeks,
        seed=seed,
        triggers=len({one.trigger_id for one in last}),
        reliability=tuple(_of_posteriors(name, some) for name, some in (groups | ages).items() if some or name == _ALL),
        none=tuple(_of_none(name, some) for name, some in groups.items()),
        ranks=tuple(Ranks.told(name, some) for name, some in groups.items()),
        chance=tuple(
            Chance.told(name, [one for one in alone if name in {_ALL, one.messenger}], random) for name in groups
        ),
        by_mag=completeness(
            [counterpart.peak_mag or 0.0 for _, counterpart in of_bursts],
            [one.true_claim is not None for one, _ in of_bursts],
            MAG_EDGES,
        ),
        by_area=completeness(
            [one.area_90_deg2 for one in in_stream],
            [(claim := one.true_claim) is not None and claim.rank <= FIRST for one in in_stream],
            AREA_EDGES,
        ),
    )


def _of_posteriors(name: str, searched: Iterable[Searched]) -> Reliability:
    claims = [claim for one in searched for claim in one.claims if not claim.of_another]
    return Reliability.told(name, [claim.posterior for claim in claims], [claim.true for claim in claims])


def _of_none(name: str, searched: Iterable[Searched]) -> Reliability:
    told = [(one.posterior_none, one.true_claim is None) for one in searched if one.posterior_none is not None]
    return Reliability.told(name, [claimed for claimed, _ in told], [true for _, true in told])


@dataclass(frozen=True, slots=True)
class ScrambledReport:
    """Real or simulated inputs whose triggers were moved to other times and places, where none is true.

    Attributes
    ----------
    triggers, copies
        How many triggers there were, and how often each was moved.
    left_out
        Ids of those that could not be moved or whose turned regions held nothing that was observed.
    chance
        By messenger.
    false_claims
        How many posteriors reached each of some values, by chance alone.
    """

    triggers: int
    copies: int
    left_out: tuple[str, ...]
    chance: tuple[Chance, ...]
    false_claims: dict[str, int]

    @property
    def acceptance(self) -> dict[str, bool]:
        """What is asked of calibration, and whether it holds."""
        return {"chance probabilities uniform": all(chance.holds for chance in self.chance)}

    def document(self) -> dict[str, Any]:
        """As JSON has it."""
        told = asdict(self) | {"acceptance": self.acceptance}
        for chance in told["chance"]:
            del chance["values"]
        return told


@dataclass(frozen=True, slots=True)
class StageReport:
    """Levels of true positions in the densities of one stage.

    Attributes
    ----------
    levels
        Against the uniform distribution.
    inside_50, inside_90
        Fraction inside the 50 % and 90 % regions.
    median_separation_deg, median_area_90_deg2
        Of all bursts.
    """

    stage: str
    levels: Uniformity
    inside_50: float
    inside_90: float
    median_separation_deg: float
    median_area_90_deg2: float

    @classmethod
    def told(cls, stage: str, levels: Sequence[StageLevel]) -> "StageReport":
        """Of at least one level."""
        level = np.array([one.level for one in levels])
        return cls(
            stage,
            Uniformity.of(level),
            float((level <= 0.5).mean()),  # noqa: PLR2004
            float((level <= 0.9).mean()),  # noqa: PLR2004
            float(np.median([one.separation_deg for one in levels])),
            float(np.median([one.area_90_deg2 for one in levels])),
        )


@dataclass(frozen=True, slots=True)
class PairReport:
    """Fermi bursts that Swift localised."""

    pairs: Pairs
    stages: tuple[StageReport, ...]

    @classmethod
    def told(cls, pairs: Pairs) -> "PairReport":
        """Stage by stage."""
        by_stage = {stage: [one for one in pairs.levels if one.stage == stage] for stage in STAGES}
        return cls(pairs, tuple(StageReport.told(stage, some) for stage, some in by_stage.items() if some))

    @property
    def acceptance(self) -> dict[str, bool]:
        """What is asked of the localisation models, and whether it holds."""
        return {
            f"levels of {stage.stage} positions uniform": stage.levels.p is not None and stage.levels.p > LEAST_P
            for stage in self.stages
        }

    def document(self) -> dict[str, Any]:
        """As JSON has it."""
        return asdict(self) | {"acceptance": self.acceptance}
