"""What the configuration says of the store: ``[store]``."""

from pathlib import Path
from typing import Literal

from pydantic import Field

from bridges.options import Options

PacketPolicy = Literal["none", "stripped", "full"]


class StoreOptions(Options):
    """Where the store lies, and how much it keeps for how long."""

    folder: Path = Field(Path("store"), description="Folder of the store, on a local disk; made if need be.")
    retention_d: float = Field(
        20.0, gt=0, le=400, description="Alerts, notices and sky maps are kept at least so many days."
    )
    packets: PacketPolicy = Field(
        "none", description="What is kept of packets that matched nothing: none, stripped (of cutouts) or full."
    )
    packets_d: float = Field(7.0, gt=0, le=400, description="Days that packets are kept which matched nothing.")
    matched_packets_d: float = Field(60.0, gt=0, le=4000, description="Days that packets of matched objects are kept.")
    revisions_d: float = Field(
        60.0, gt=0, le=4000, description="Days that earlier revisions of coincidences are kept once they are delivered."
    )
    coincidences_d: float = Field(
        400.0, gt=0, le=40_000, description="Days that the newest revision of a coincidence is kept."
    )
    quarantine_messages: int = Field(
        10_000, ge=0, le=10_000_000, description="Messages kept that could not be read; the oldest go."
    )
    quarantine_mib: int = Field(256, ge=0, le=65_536, description="Room for them, in MiB; the oldest go.")
    quarantine_body_kib: int = Field(1024, ge=0, le=65_536, description="Kept of each of them at most, in KiB.")
    open_alerts: int = Field(
        200_000,
        ge=1000,
        le=50_000_000,
        description="Alerts of a survey that lie in the database at most before they are sealed; a restart reads them.",
    )
    seal_after_s: float = Field(
        1800.0, gt=0, le=86_400, description="Seconds between two looks for alerts to be sealed in files."
    )
