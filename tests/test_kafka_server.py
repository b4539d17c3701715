"""The server of the tests itself: what the tests of the bridges rely on."""

import asyncio
import os
import ssl
import subprocess
import sys
from pathlib import Path

import pytest
from aiokafka.abc import AbstractTokenProvider

from tests.kafka_clients import consume, produce
from tests.kafka_server import MECHANISMS, PASSWORD, USER, own_kafka, runner_or_skip, unsecured_token

PROJECT = Path(__file__).parents[1]


class Tokens(AbstractTokenProvider):
    async def token(self):
        return unsecured_token()


async def receive(bootstrap, topic):
    (record,) = await consume(bootstrap, topic, 1)
    return record.value


async def test_shared_server_passes_large_messages_and_gives_each_test_its_topic(kafka):
    topics = [await kafka.create_topic("same", partitions=2) for _ in range(2)]
    assert topics[0] != topics[1]
    body = os.urandom(9 << 20)
    await produce(kafka.bootstrap, topics[0], body)
    assert await receive(kafka.bootstrap, topics[0]) == body


async def test_own_server_comes_back_with_its_data_after_kill_and_stop():
    async with own_kafka() as server:
        topic = await server.create_topic()
        await produce(server.bootstrap, topic, b"x")
        for end in (server.kill, server.stop):
            await end()
            with pytest.raises(OSError, match="Connect call failed"):
                await asyncio.open_connection(*server.bootstrap.split(":"))
            await server.start()
            assert await receive(server.bootstrap, topic) == b"x"
        folder = server.folder
    assert not folder.exists()


async def test_own_server_speaks_tls_and_every_mechanism():
    async with own_kafka(sasl=MECHANISMS, tls=True) as server:
        topic = await server.create_topic()
        context = ssl.create_default_context(cafile=server.certificates.ca)
        await produce(server.listeners["SSL"], topic, b"x", security_protocol="SSL", ssl_context=context)
        for mechanism in MECHANISMS:
            who = {"sasl_oauth_token_provider": Tokens()} if mechanism == "OAUTHBEARER" else {}
            who = who or {"sasl_plain_username": USER, "sasl_plain_password": PASSWORD}
            for protocol in ("SASL_SSL", "SASL_PLAINTEXT"):
                await produce(
                    server.listeners[protocol],
                    topic,
                    b"x",
                    security_protocol=protocol,
                    sasl_mechanism=mechanism,
                    ssl_context=context if protocol == "SASL_SSL" else None,
                    **who,
                )


USER_OF_THE_SERVER = """
import sys, contextlib, pathlib
from tests import kafka_server
with contextlib.ExitStack() as used:
    print(kafka_server._join(pathlib.Path(sys.argv[1]), used), flush=True)
    sys.stdin.read()
"""


async def test_server_is_shared_and_ends_with_its_last_user_even_if_killed(tmp_path):
    runner_or_skip()

    def user():
        command = [sys.executable, "-c", USER_OF_THE_SERVER, str(tmp_path)]
        return subprocess.Popen(command, cwd=PROJECT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    with user() as first, user() as second:
        bootstraps = {await asyncio.to_thread(one.stdout.readline) for one in (first, second)}
        assert len(bootstraps) == 1
        address = bootstraps.pop().strip().split(":")
        first.kill()
        await asyncio.to_thread(first.wait)
        assert await listens(address)
        second.kill()
    async with asyncio.timeout(60):
        while await listens(address):  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(0.05)


async def listens(address):
    try:
        _, writer = await asyncio.open_connection(*address)
    except OSError:
        return False
    writer.close()
    return True
