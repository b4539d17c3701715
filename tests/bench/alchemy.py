"""How healpix-alchemy matches alerts with gravitational-wave maps on PostgreSQL; imported only where it is installed.

Tables, index and query are those of its documentation. It knows no exact border.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import sqlalchemy as sa
from healpix_alchemy import Point, Tile
from mocpy import MOC
from sqlalchemy.orm import Session, declarative_base, mapped_column

from schemas.records import Alerts, Trigger, Window
from tests.bench.postgres import server

Windows = Sequence[tuple[Trigger, Window]]
_Base = declarative_base()


class _Alert(_Base):
    __tablename__ = "alert"
    id = mapped_column(sa.BigInteger, primary_key=True)
    time_us = mapped_column(sa.BigInteger)
    hpx = mapped_column(Point, index=True)


class _Trigger(_Base):
    __tablename__ = "trigger"
    id = mapped_column(sa.Integer, primary_key=True)
    start_us = mapped_column(sa.BigInteger)
    end_us = mapped_column(sa.BigInteger)


class _Tile(_Base):
    __tablename__ = "tile"
    trigger_id = mapped_column(sa.ForeignKey(_Trigger.id), primary_key=True)
    hpx = mapped_column(Tile, primary_key=True, index=True)


@contextmanager
def pairs(windows: Windows, alerts: Alerts) -> Iterator[Callable[[], int]]:
    """A database that holds alerts and maps, and what counts the pairs of them that are in time."""
    with server() as url:
        engine = sa.create_engine(url)
        with Session(engine) as session:
            _Base.metadata.create_all(engine)
            _fill(session, windows, alerts)
            inside = sa.and_(_Tile.hpx.contains(_Alert.hpx), _Alert.time_us.between(_Trigger.start_us, _Trigger.end_us))
            found = (
                sa.select(_Trigger.id, _Alert.id)
                .select_from(_Tile)
                .join(_Trigger, _Trigger.id == _Tile.trigger_id)
                .join(_Alert, inside)
            )
            yield lambda: len(session.execute(found).all())
        engine.dispose()


def _fill(session: Session, windows: Windows, alerts: Alerts) -> None:
    numbers, times, pixels = alerts.alert_id.tolist(), alerts.time_us.tolist(), alerts.pixel.tolist()
    session.execute(
        sa.insert(_Alert),
        [{"id": n, "time_us": t, "hpx": p} for n, t, p in zip(numbers, times, pixels, strict=True)],
    )
    for number, (_, window) in enumerate(windows):
        session.execute(sa.insert(_Trigger), [{"id": number, "start_us": window.start_us, "end_us": window.end_us}])
        ranges = np.stack([window.region.lo, window.region.hi], axis=1).astype(np.uint64)
        tiles = Tile.tiles_from(MOC.from_depth29_ranges(29, ranges))
        session.execute(sa.insert(_Tile), [{"trigger_id": number, "hpx": tile} for tile in tiles])
    session.commit()
    session.execute(sa.text("ANALYZE"))
