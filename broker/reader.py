"""Messages to records: survey packets in batches, which is ten times as fast, everything else one by one."""

import asyncio
from collections.abc import Sequence
from pathlib import Path

from bridges.schema_registry import SchemaRegistry, add_from_folder, add_from_package
from broker.config import Config
from schemas.avro import confluent_id
from schemas.catalogue import SchemaCatalogue
from schemas.errors import BadPacket, Reason, UnknownSchema
from schemas.reading import Reading, read_message
from schemas.records import Message, Rejection
from schemas.stamps import without_stamps
from schemas.survey import looks_like_alerts, read_batch


class Reader:
    """Reads messages, and asks the schema registry, where there is one, for writer schemas that are not at hand.

    Reading itself never fails: what cannot be read is in the result as rejections.

    Parameters
    ----------
    catalogue
        The schemas at hand.
    registry_url
        Where others are asked for, each id once until it is found.
    """

    def __init__(self, catalogue: SchemaCatalogue, registry_url: str | None) -> None:
        self._catalogue = catalogue
        self._registry_url = registry_url
        self._troubles: dict[int, str] = {}

    def read(self, messages: Sequence[Message]) -> list[Reading]:
        """Read messages, in no running event loop: all alerts come in the first reading, in order."""
        missing = self._missing(messages)
        if missing and self._registry_url:
            asyncio.run(self._ask(self._registry_url, missing))
        return self._decode(messages)

    def read_one(self, message: Message) -> Reading:
        """Read one message by itself, with the name of its format; in no running event loop."""
        missing = self._missing([message])
        if missing and self._registry_url:
            asyncio.run(self._ask(self._registry_url, missing))
        return self._one(message)

    async def read_async(self, messages: Sequence[Message]) -> list[Reading]:
        """The same from within an event loop, which stays free: decoding runs in a thread."""
        missing = self._missing(messages)
        if missing and self._registry_url:
            await self._ask(self._registry_url, missing)
        return await asyncio.to_thread(self._decode, messages)

    def without_stamps(self, body: bytes) -> bytes:
        """A survey's packet without its cutout images; see `schemas.stamps.without_stamps`."""
        return without_stamps(body, self._catalogue)

    def _missing(self, messages: Sequence[Message]) -> set[int]:
        ids = {schema_id for message in messages if (schema_id := confluent_id(message.body)) is not None}
        return {number for number in ids if number not in self._catalogue and number not in self._troubles}

    async def _ask(self, url: str, schema_ids: set[int]) -> None:
        async with SchemaRegistry(url, self._catalogue) as registry:
            for schema_id in sorted(schema_ids):
                try:
                    await registry.fetch(schema_id)
                except (UnknownSchema, BadPacket, ConnectionError) as trouble:
                    self._troubles[schema_id] = str(trouble)

    def _decode(self, messages: Sequence[Message]) -> list[Reading]:
        readings = []
        packets = []
        for message in messages:
            if looks_like_alerts(message.body):
                packets.append(message)
            else:
                readings.append(self._one(message))
        alerts, rejections = read_batch(packets, self._catalogue)
        return [Reading(alerts=tuple(alerts), rejections=tuple(rejections)), *readings]

    def _one(self, message: Message) -> Reading:
        try:
            return read_message(message, self._catalogue)
        except UnknownSchema as unknown:
            why = self._troubles.get(unknown.schema_id, str(unknown))
            return Reading(rejections=(Rejection(message.origin, Reason.UNKNOWN_SCHEMA, why),))


def make_reader(config: Config, folder: Path) -> Reader:
    """The reader that a configuration asks for.

    Parameters
    ----------
    folder
        Where relative paths of the configuration start.

    Raises
    ------
    ConfigurationError
        If the folder of schemas, or the package, cannot be used.
    """
    catalogue = SchemaCatalogue()
    if config.lsst.schema_package:
        add_from_package(catalogue)
    if config.lsst.schema_folder:
        add_from_folder(catalogue, folder / config.lsst.schema_folder)
    return Reader(catalogue, config.lsst.schema_registry_url)
