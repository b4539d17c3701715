"""Everything that a replay is given, read into records: alerts as columns, notices, and the maps they link to."""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from bridges.files import FoundFile, read_files
from bridges.linked_maps import find_linked_maps
from broker.reader import Reader
from schemas.reading import Reading
from schemas.records import Alerts, Message, Notice, Rejection

BATCH_MESSAGES = 256
"""Messages that are read at a time: enough to spare the cost of small batches, some 20 MB of packets."""
BATCH_BYTES = 64 << 20
"""A batch ends as well when it holds so much, so that a folder of large maps takes no more memory than its largest."""


@dataclass(slots=True)
class Inputs:
    """What was read.

    Attributes
    ----------
    alerts
        By survey, sorted by time and alert number.
    notices
        Those of a trigger, sorted by issue time.
    maps
        IVORN of a notice -> the sky map file that it links to.
    """

    alerts: dict[str, Alerts] = field(default_factory=dict)
    notices: list[Notice] = field(default_factory=list)
    maps: dict[str, Message] = field(default_factory=dict)
    rejected: list[Rejection] = field(default_factory=list)
    messages: Counter[str] = field(default_factory=Counter)
    notice_types: Counter[str] = field(default_factory=Counter)
    notice_roles: Counter[str] = field(default_factory=Counter)


def issue_time_us(notice: Notice) -> int:
    """When a notice came into the world: its issue time, else its trigger time, else the beginning of time."""
    for instant in (notice.issued_us, notice.trigger_time_us):
        if instant is not None:
            return instant
    return 0


def read_inputs(
    alert_files: Sequence[FoundFile],
    notice_files: Sequence[FoundFile],
    reader: Reader,
    *,
    bytes_max: int,
    on_progress: Callable[[int], None],
) -> Inputs:
    """Read all files; what they hold is decided by their content, not by which list they are in."""
    inputs = Inputs()
    parts: dict[str, list[Alerts]] = defaultdict(list)
    map_origins: set[str] = set()
    noticed = {file.path.resolve() for file in notice_files}
    files = [*(file for file in alert_files if file.path.resolve() not in noticed), *notice_files]
    read = read_files(files, bytes_max=bytes_max, on_progress=on_progress)
    for batch in _batches(read):
        inputs.messages["messages"] += len(batch)
        inputs.rejected += [message for message in batch if isinstance(message, Rejection)]
        for reading in reader.read([message for message in batch if isinstance(message, Message)]):
            for alerts in reading.alerts:
                parts[alerts.survey].append(alerts)
            map_origins.update(skymap.origin for skymap in reading.skymaps)
            _take(inputs, reading)
    for survey in sorted(parts):
        whole = Alerts.concatenate(parts.pop(survey))
        inputs.alerts[survey] = whole.take(np.lexsort((whole.origin, whole.alert_id, whole.time_us)))
    inputs.notices.sort(key=lambda notice: (issue_time_us(notice), notice.ivorn, notice.message.origin))
    inputs.maps = find_linked_maps(inputs.notices, notice_files, map_origins, bytes_max=bytes_max)
    return inputs


def _batches(messages: Iterable[Message | Rejection]) -> Iterator[list[Message | Rejection]]:
    batch: list[Message | Rejection] = []
    size = 0
    for message in messages:
        batch.append(message)
        size += len(message.body) if isinstance(message, Message) else 0
        if len(batch) >= BATCH_MESSAGES or size >= BATCH_BYTES:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def _take(inputs: Inputs, reading: Reading) -> None:
    inputs.rejected.extend(reading.rejections)
    inputs.messages["skymaps"] += len(reading.skymaps)
    for notice in reading.notices:
        inputs.messages["notices"] += 1
        inputs.notice_types[notice.notice_type] += 1
        inputs.notice_roles[notice.role] += 1
        if notice.trigger_id is not None:
            inputs.notices.append(notice)
