"""Survey alerts over Kafka.

**Positions live in the store**, in one transaction with what was read; a consumer group gets a copy, for tools that
watch it. So partitions belong to processes by their number (``workers``) and not by a group's rebalance: a process that
was handed another's partition would not have the other's alerts, and a batch that takes long costs no membership.

A session (`bridges.kafka_session`) is one connection with one set of partitions. It ends when topics come or go, when
the cluster goes away, or when what is to be read next is gone there; the next one begins where the store stands.
"""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from pathlib import Path

import structlog

from bridges.attempts import kafka_partitions
from bridges.emit import Emit
from bridges.kafka_session import Batch, BatchTaken, KafkaSurveyObserver, Session
from bridges.kafka_survey_options import KafkaSurveyOptions
from bridges.kafka_trouble import TROUBLES, Pauses, trouble_of

__all__ = ["BatchTaken", "KafkaSurveyObserver", "KafkaSurveyOptions", "KafkaSurveySource"]

log = structlog.get_logger()


class KafkaSurveySource:
    """Reads topics of a Kafka cluster; a `broker.interfaces.Source`.

    Memory: a batch that waits and one that is gathered (``batch_bytes`` each, and one message more), what is read
    ahead (``buffer_bytes``, as compressed) and an answer of each server (``fetch_bytes``).

    Parameters
    ----------
    folder
        Where relative paths of the options start.
    observe
        Is told what happens.
    """

    def __init__(self, options: KafkaSurveyOptions, folder: Path, *, observe: KafkaSurveyObserver) -> None:
        self._options, self._folder, self._observe = options, folder, observe

    async def run(self, emit: Emit) -> None:
        """Bring messages in until cancelled.

        Raises
        ------
        ConfigurationError
            If a secret or a certificate cannot be read.
        """
        async with aclosing(self._batches(emit)) as batches:
            async for batch in batches:
                await emit(batch.messages, batch.positions)

    async def check(self) -> str:
        """For `starcross check --connect`: the topics and partitions that it would read.

        Raises
        ------
        ConfigurationError
            If a secret or a certificate cannot be read.
        ConnectionError
            If the cluster cannot be reached or does not want us.
        """
        found = await kafka_partitions(self._options.client_arguments(self._folder))
        ours = [
            topic
            for topic, partitions in found.items()
            for partition in partitions
            if self._options.reads(topic, partition)
        ]
        return f"{len(set(ours))} topics match, {len(ours)} partitions"

    async def _batches(self, emit: Emit) -> AsyncGenerator[Batch, None]:
        """Batches of one session after the other. One that was asked to go on knows that its last batch is kept."""
        arguments = self._options.client_arguments(self._folder)
        pauses, first = Pauses(), not emit.positions
        while True:
            session, pause_s = Session(self._options, arguments, self._observe), 0.0
            try:
                begun = await session.begin(emit.positions, first=first)
                first = False
                pauses.reset()
                if begun.next_offsets:
                    yield begun
                while (batch := await session.next()) is not None:
                    yield batch
                    session.kept(batch)
                self._observe.disconnected("topics or partitions came or went")
            except TROUBLES as error:
                trouble = await trouble_of(error, arguments)
                pause_s = pauses.after(trouble)
                self._observe.disconnected(trouble.detail)
                report = log.error if trouble.refused else log.warning
                report("no connection to the survey", trouble=trouble.detail, again_in_s=round(pause_s, 1))
            finally:
                await session.close()
            await asyncio.sleep(pause_s)
