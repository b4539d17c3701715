"""What `starcross check --connect` tries: one connection, without a lasting trace. What hinders it is raised."""

import asyncio
import socket
import ssl
from collections.abc import Mapping
from ipaddress import IPv4Address, IPv6Address
from typing import Any

from aiokafka.admin import AIOKafkaAdminClient

from bridges.kafka_trouble import TROUBLES, given_up, trouble_of


async def reach(host: str, port: int, context: ssl.SSLContext | None = None) -> None:
    """Connect, with TLS if a context is given, and leave again.

    Raises
    ------
    ConnectionError
        Naming the host and what hinders.
    """
    try:
        _, writer = await asyncio.open_connection(host, port, ssl=context)
    except OSError as error:
        raise ConnectionError(f"{host}:{port} cannot be reached: {error.strerror or error}") from error
    writer.transport.abort()


def listen_once(address: IPv4Address | IPv6Address, port: int) -> str:
    """Listen, and stop at once; says so.

    Raises
    ------
    ConnectionError
        Naming the address and what hinders.
    """
    family = socket.AF_INET6 if isinstance(address, IPv6Address) else socket.AF_INET
    try:
        socket.create_server((str(address), port), family=family).close()
    except OSError as error:
        raise ConnectionError(f"{address} port {port} cannot be listened at: {error.strerror or error}") from error
    return f"{address} port {port} is free" if port else f"{address} has free ports"


async def kafka_partitions(arguments: Mapping[str, Any]) -> dict[str, list[int]]:
    """The partitions of each topic of a Kafka cluster.

    Parameters
    ----------
    arguments
        As of `bridges.kafka_options.KafkaOptions.client_arguments`.

    Raises
    ------
    ConnectionError
        Naming the servers and what hinders.
    """
    admin = AIOKafkaAdminClient(**arguments)
    try:
        await admin.start()
        topics = await admin.describe_topics()
    except TROUBLES as error:
        raise ConnectionError((await trouble_of(error, arguments)).detail) from error
    finally:
        await given_up(admin)
    return {topic["topic"]: [partition["partition"] for partition in topic["partitions"]] for topic in topics}
