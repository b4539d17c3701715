import gzip
import socket
from itertools import count

import pytest

from tests.bridges.service_stand_ins import Reply, stand_in

pytest.importorskip("requests")

from bridges.service_session import BoundedSession, ServiceFailed


def fails(told):
    return pytest.raises(ServiceFailed, match=told)


IN_TIME = r"no answer within 0\.3 s"


def fetch(url, *, timeout_s=10.0, answer_bytes=1000, **more):
    return BoundedSession(timeout_s=timeout_s, answer_bytes=answer_bytes).get(url, **more)


def test_an_answer():
    with stand_in(lambda _: Reply(b"x" * 1000)) as server:
        assert fetch(server.url, timeout=1e9, stream=True).content == b"x" * 1000


@pytest.mark.parametrize("headers", [{}, {"Content-Encoding": "gzip"}])
def test_a_huge_answer_is_not_read_to_its_end(headers):
    body = b"x" * 10**6
    with (
        stand_in(lambda _: Reply(gzip.compress(body) if headers else body, headers=headers)) as server,
        fails("answers more than 1000 bytes"),
    ):
        fetch(server.url)


def test_an_answer_without_end_ends():
    def pour(handler):
        for _ in count():
            handler.wfile.write(b"x" * 65536)

    with stand_in(lambda _: Reply(send=pour)) as server, fails("answers more than"):
        fetch(server.url, answer_bytes=10**6)


def test_an_answer_that_does_not_come_or_drips_ends_in_time():
    def drip(handler):
        while not server.released.wait(0.01):
            handler.wfile.write(b"x")

    def hold(_):
        server.released.wait()
        return Reply()

    with stand_in(lambda _: Reply(send=drip)) as server, fails(IN_TIME):
        fetch(server.url, timeout_s=0.3)
    with stand_in(hold) as server, fails(IN_TIME):
        fetch(server.url, timeout_s=0.3)
    with stand_in(lambda _: Reply(send=lambda _: server.released.wait())) as server, fails(IN_TIME):
        fetch(server.url, timeout_s=0.3)


def test_nobody_is_there():
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with fails(r"127\.0\.0\.1: cannot be reached: ConnectionError") as caught:
        fetch(f"http://127.0.0.1:{port}/api?key=secret")
    assert "secret" not in str(caught.value)


def test_an_answer_that_breaks_off():
    with (
        stand_in(lambda _: Reply(b"x", headers={"Content-Length": "1"}, send=lambda _: None)) as server,
        fails("cannot be reached"),
    ):
        fetch(server.url)


def test_redirects_stay_with_the_host_and_end():
    def onwards(question):
        if question.path == "/api":
            return Reply(status=302, headers={"Location": "/there"})
        return Reply(b"here")

    with stand_in(onwards) as server:
        assert fetch(server.url).content == b"here"
    with stand_in(lambda _: Reply(status=302, headers={"Location": "/api"})) as server, fails("more than 3 redirects"):
        fetch(server.url)
    assert len(server.asked) == 4


@pytest.mark.parametrize("target", ["http://example.org/", "ftp://127.0.0.1/", "//10.0.0.1/"])
def test_redirects_elsewhere_are_not_followed(target):
    with (
        stand_in(lambda _: Reply(status=302, headers={"Location": target})) as server,
        fails(r"127\.0\.0\.1: redirects to .*, which is not followed"),
    ):
        fetch(server.url)


def test_a_chain_of_redirects_has_one_time():
    def slow(_):
        server.released.wait(0.2)
        return Reply(status=302, headers={"Location": "/api"})

    with stand_in(slow) as server, fails(IN_TIME):
        fetch(server.url, timeout_s=0.3)


@pytest.mark.parametrize(
    ("status", "headers", "rest_s"),
    [
        (429, {"Retry-After": "30"}, 30.0),
        (429, {"x-rate-limit-reset": "12"}, 12.0),
        (503, {"Retry-After": "9" * 30}, 86_400.0),
        (503, {"Retry-After": "Wed, 21 Oct 2026 07:28:00 GMT"}, None),
        (500, {}, None),
    ],
)
def test_an_error_tells_how_long_to_rest(status, headers, rest_s):
    reply = Reply(b"come\nback \x1b later", status, headers)
    with (
        stand_in(lambda _: reply) as server,
        fails(f"answers {status}: come back") as told,
    ):
        fetch(server.url)
    assert told.value.retry_after_s == rest_s


@pytest.mark.parametrize(
    "body",
    [
        b'<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>',
        b" \n<!DOCTYPE a SYSTEM 'http://example.org/'><a/>",
        "<!DOCTYPE a><a/>".encode("utf-16"),
        b"<a>" * 100 + b"</a>" * 100,
        b"<a>",
    ],
)
def test_xml_is_bounded_before_anybody_reads_it(body):
    with stand_in(lambda _: Reply(body)) as server, fails(r"127\.0\.0\.1: the XML"):
        fetch(server.url)
