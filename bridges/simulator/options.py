"""What the configuration says of a simulated source."""

from pydantic import Field

from bridges.options import Options
from bridges.simulator.plan import NightPlan
from bridges.simulator.source import SimulatorSource


class SimulatorOptions(Options):
    """Simulated nights, for trying things out; with `clock = "data"` and `include_tests`."""

    seed: int = Field(1, ge=0, description="The same seed gives the same nights.")
    start: str = Field("2026-10-05", pattern=r"^\d{4}-\d{2}-\d{2}$", description="Date of the first evening (UTC).")
    nights: int = Field(7, ge=1, le=60, description="How many nights follow one another.")
    messages_per_s: float | None = Field(None, gt=0, description="How fast; by default as fast as they are taken.")
    batch_messages: int = Field(100, ge=1, le=10_000, description="Messages that are handed over at a time.")
    endless: bool = Field(False, description="Go on with other nights instead of ending.")

    def source(self) -> SimulatorSource:
        """The source."""
        return SimulatorSource(
            self.seed,
            NightPlan(start=self.start, nights=self.nights),
            alerts_per_s=self.messages_per_s,
            batch=self.batch_messages,
            endless=self.endless,
        )
