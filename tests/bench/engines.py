"""An engine for benchmarks: the default configuration and matchers, with live triggers."""

from collections.abc import Iterable, Sequence
from pathlib import Path

from broker.config import load_config
from broker.pipeline import make_engine
from broker.reader import Reader
from broker.registry import make_matchers
from matchers.engine import Engine
from matchers.ledger import Changes
from schemas.densities import skymap_of
from schemas.records import Coincidence, Message
from tests.bench import made, packets

NOW_US = made.T0


def make_reader() -> Reader:
    """Reads what `packets` makes."""
    return Reader(packets.catalogue(), None)


def make_live_engine(notices: Iterable[Message]) -> Engine:
    """The engine of the default configuration, which has heard these notices."""
    config = load_config(None)
    engine, reader = make_engine(config, make_matchers(config, Path()), "bench"), make_reader()
    for message in notices:
        hear(engine, reader, message)
    return engine


def hear(engine: Engine, reader: Reader, message: Message) -> list[Coincidence]:
    """Put a notice from its bytes until everything stored is judged by it.

    Raises
    ------
    ValueError
        If it is not understood, or opens no window.
    """
    (notice,) = reader.read_one(message).notices
    if notice.trigger_id is None or notice.localisation is None:
        raise ValueError(f"{message.origin} has no trigger or no position")
    steps = engine.put_notice(notice, skymap_of(notice.localisation), NOW_US)
    changes = Changes.of(steps).published
    if not engine.book.windows(notice.trigger_id):
        raise ValueError(f"{message.origin} opens no window")
    return changes


def take(engine: Engine, reader: Reader, messages: Sequence[Message]) -> list[Coincidence]:
    """Packets from their bytes to coincidences.

    Raises
    ------
    ValueError
        If one is rejected.
    """
    for reading in reader.read(messages):
        if reading.rejections:
            raise ValueError(reading.rejections[0])
        for alerts in reading.alerts:
            engine.add_alerts(alerts)
    return Changes.of(engine.assess(NOW_US)).published
