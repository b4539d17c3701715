"""What hinders a client of Kafka, for a person, and how long to wait before the next attempt."""

import asyncio
import random
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, errors
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.conn import create_conn

TROUBLES: Final = (errors.KafkaError, OSError, TimeoutError)
"""What waiting may mend: of the network, of the cluster, and of who we are to it."""

REFUSALS: Final = (
    errors.AuthenticationFailedError,
    errors.AuthenticationMethodNotSupported,
    errors.SaslAuthenticationFailed,
    errors.UnsupportedSaslMechanismError,
    errors.IllegalSaslStateError,
    errors.TopicAuthorizationFailedError,
    errors.GroupAuthorizationFailedError,
    errors.ClusterAuthorizationFailedError,
    ssl.SSLCertVerificationError,
)
"""What needs a person: who we are, or what we may."""

FIRST_PAUSE_S: Final = 0.5
LONGEST_PAUSE_S: Final = 10.0
"""Alerts wait meanwhile, and an attempt costs little."""
REFUSED_PAUSE_S: Final = 300.0
PROBE_S: Final = 10.0
STOP_S: Final = 5.0


@dataclass(frozen=True, slots=True)
class Trouble:
    """Why there is no working connection.

    Attributes
    ----------
    detail
        What, where and why, in a sentence. No secrets.
    refused
        True if the cluster does not want us as we are: the next attempt will most likely fail too.
    """

    detail: str
    refused: bool


async def trouble_of(error: Exception, arguments: Mapping[str, Any]) -> Trouble:
    """What is behind an error of a client.

    aiokafka says of a cluster that refuses us only that it cannot be reached, so one connection is tried by hand.

    Parameters
    ----------
    arguments
        As of `KafkaOptions.client_arguments`.
    """
    cause: BaseException = error
    if isinstance(error, errors.KafkaConnectionError):
        cause = await _probed(arguments) or error
    where = ", ".join(arguments["bootstrap_servers"])
    name, what = type(cause).__name__, " ".join(str(cause).split()) or "no answer in time"
    return Trouble(f"Kafka at {where}: {name}: {what.removeprefix(f'{name}: ')}", isinstance(cause, REFUSALS))


async def _probed(arguments: Mapping[str, Any]) -> Exception | None:
    """What a connection to the first server fails with; None if it does not fail."""
    passed_on = {name: value for name, value in arguments.items() if name != "bootstrap_servers"}
    host, _, port = arguments["bootstrap_servers"][0].rpartition(":")
    try:
        async with asyncio.timeout(PROBE_S):
            connection = await create_conn(host.strip("[]"), int(port), **passed_on)
    except TROUBLES as error:
        return error
    connection.close()
    return None


class Pauses:
    """How long to wait after each failure: doubling up to ten seconds, with jitter; minutes where we are refused."""

    def __init__(self) -> None:
        self._failures = 0

    def reset(self) -> None:
        """It works again."""
        self._failures = 0

    def after(self, trouble: Trouble) -> float:
        """Seconds to wait after one more failure."""
        longest = min(LONGEST_PAUSE_S, FIRST_PAUSE_S * 2.0 ** min(self._failures, 30))
        self._failures += 1
        return random.uniform(0.5, 1.0) * (REFUSED_PAUSE_S if trouble.refused else longest)  # noqa: S311 - no secret


async def given_up(client: AIOKafkaConsumer | AIOKafkaProducer | AIOKafkaAdminClient) -> None:
    """End a client, but do not wait for long: it may wait for a cluster that is away.

    In a task of its own: a consumer of aiokafka 0.14 that is stopped while it waits for its next attempt to fetch ends
    with a CancelledError that nobody asked for, and leaves its connections open.
    """
    ending = asyncio.create_task(client.close() if isinstance(client, AIOKafkaAdminClient) else client.stop())
    await asyncio.wait({ending}, timeout=STOP_S)
    ending.cancel()
    connections = client.client if isinstance(client, AIOKafkaProducer) else client._client  # noqa: SLF001 - see above
    await asyncio.gather(ending, return_exceptions=True)
    await asyncio.gather(connections.close(), return_exceptions=True)
