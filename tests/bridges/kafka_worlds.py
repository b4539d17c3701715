"""What the tests of the bridges to Kafka share: an observer that remembers."""

from collections.abc import Sequence

from bridges.kafka_session import BatchTaken


class Observed:
    """Remembers what a source told."""

    def __init__(self) -> None:
        self.connections: list[int] = []
        self.troubles: list[str] = []
        self.batches: list[BatchTaken] = []
        self.lags: dict[tuple[str, int], int] = {}
        self.gaps: list[tuple[str, int, int]] = []

    def connected(self, partitions: int) -> None:
        self.connections.append(partitions)

    def disconnected(self, detail: str) -> None:
        self.troubles.append(detail)

    def taken(self, batch: BatchTaken) -> None:
        self.batches.append(batch)

    def lag(self, topic: str, partition: int, messages: int) -> None:
        self.lags[topic, partition] = messages

    def gap(self, topic: str, partition: int, messages: int) -> None:
        self.gaps.append((topic, partition, messages))


def numbered(count: int, prefix: str = "n") -> Sequence[bytes]:
    return [f"{prefix}{number}".encode() for number in range(count)]
