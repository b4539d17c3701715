"""What every source is given to hand its messages to."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Protocol

from schemas.records import Message, Receipt

Positions = Mapping[str, int]
"""Where a source stands, by names of its own: ``ztf_20261121_programid1[3]`` and the next offset to be read."""
NOWHERE: Positions = MappingProxyType({})


class Emit(Protocol):
    """Hands over a batch. Awaiting it is the back-pressure, the order and the acknowledgement: no queue, no token."""

    @property
    def positions(self) -> Positions:
        """Where this source stood with the last batch that was kept, of earlier runs too; empty at the very first."""

    async def __call__(self, messages: Sequence[Message], positions: Positions = NOWHERE) -> Receipt:
        """Take a batch in, and return once every readable message is indexed, matched and kept.

        Parameters
        ----------
        messages
            In order; an empty batch with positions only moves these.
        positions
            What changed of the source's positions with this batch: kept in the same transaction as the batch.

        Returns
        -------
        Receipt
            Names what was not readable. That is counted and kept in quarantine, and is not to be sent again.
        """
