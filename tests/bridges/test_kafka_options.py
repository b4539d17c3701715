import asyncio
from dataclasses import replace
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer, unused_port
from aiokafka.errors import KafkaConnectionError, SaslAuthenticationFailed

from bridges.kafka_options import KafkaOptions
from bridges.kafka_sink import KafkaAvroOptions, KafkaAvroSink
from bridges.kafka_survey import KafkaSurveyOptions, KafkaSurveySource
from bridges.kafka_tokens import RESPONSE_BYTES_MAX, OauthTokens
from bridges.kafka_trouble import LONGEST_PAUSE_S, REFUSED_PAUSE_S, Pauses, Trouble, trouble_of
from schemas.coincidence_avro import encode_container
from schemas.errors import ConfigurationError
from tests.bridges.conformance import PATIENCE_S, Keeper, publications, running
from tests.bridges.kafka_worlds import Observed
from tests.kafka_server import MECHANISMS, PASSWORD, USER, own_kafka, unsecured_token

SERVERS = {"bootstrap_servers": ("kafka.example.org:9093",)}


@pytest.fixture(scope="module")
def secured():
    """A server that knows every mechanism, with and without TLS, and cuts off connections whose token has ended."""
    with own_kafka(sasl=MECHANISMS, tls=True, properties={"connections.max.reauth.ms": "60000"}) as server:
        yield server


class TokenEndpoint:
    """An authorisation server."""

    def __init__(self):
        self.asked = []
        self.life_s = 3600.0
        self.answer = None
        app = web.Application()
        app.router.add_post("/token", self._token)
        self.server = TestServer(app)

    @property
    def url(self):
        return str(self.server.make_url("/token"))

    async def _token(self, request):
        self.asked.append((request.headers["Authorization"], dict(await request.post())))
        if self.answer is not None:
            return web.Response(body=self.answer[1], status=self.answer[0])
        return web.json_response({"access_token": unsecured_token(lifetime_s=self.life_s), "expires_in": self.life_s})


@pytest.fixture
async def endpoint():
    made = TokenEndpoint()
    async with made.server:
        yield made


@pytest.fixture
def password(monkeypatch):
    monkeypatch.setenv("KAFKA_PASSWORD", PASSWORD)
    return {"env": "KAFKA_PASSWORD"}


def credentials(mechanism, password, endpoint):
    if mechanism == "OAUTHBEARER":
        oauth = {"client_id": "us", "client_secret": password, "token_url": endpoint.url, "scope": "read"}
        return {"mechanism": mechanism, "oauth": oauth}
    return {"mechanism": mechanism, "username": USER, "password": password}


async def there_and_back(topic, **options):
    """Send coincidences and read them as alerts."""
    sent = publications(2)
    async with KafkaAvroSink(KafkaAvroOptions(topic=topic, **options), Path()) as sink:
        await sink.send(sent)
    emit, observed = Keeper(), Observed()
    source = KafkaSurveySource(KafkaSurveyOptions(topics=(topic,), group="g", **options), Path(), observe=observed)
    async with running(source, emit):
        await emit.until_kept(*map(encode_container, sent))
    assert observed.troubles == []


@pytest.mark.parametrize("security", ["sasl_plaintext", "sasl_ssl"])
@pytest.mark.parametrize("mechanism", MECHANISMS)
async def test_every_mechanism_in_both_directions(secured, endpoint, password, mechanism, security):
    topic = await secured.create_topic("secured")
    ca = {"ca_file": secured.certificates.ca} if security == "sasl_ssl" else {}
    servers = (secured.listeners[security.upper()],)
    who = credentials(mechanism, password, endpoint)
    await there_and_back(topic, bootstrap_servers=servers, security=security, **ca, **who)


async def test_tls_with_a_certificate_of_our_own(secured, tmp_path):
    topic = await secured.create_topic("tls")
    certificates = secured.certificates
    both = tmp_path / "both.pem"
    both.write_bytes(certificates.client_certificate.read_bytes() + certificates.client_key.read_bytes())
    common = {"bootstrap_servers": (secured.listeners["SSL"],), "security": "ssl", "ca_file": certificates.ca}
    for ours in (
        {},
        {"client_certificate": certificates.client_certificate, "client_key": certificates.client_key},
        {"client_certificate": both},
    ):
        await there_and_back(topic, **common, **ours)


async def test_tokens_that_live_for_seconds(secured, endpoint, password):
    """The server cuts a connection off when its token ends; nothing is lost or comes twice."""
    endpoint.life_s = 2.0
    topic = await secured.create_topic("seconds")
    options = {
        "bootstrap_servers": (secured.listeners["SASL_PLAINTEXT"],),
        "security": "sasl_plaintext",
        **credentials("OAUTHBEARER", password, endpoint),
    }
    emit, observed, sent = Keeper(), Observed(), []
    source = KafkaSurveySource(
        KafkaSurveyOptions(topics=(topic,), metadata_age_s=0.3, **options), Path(), observe=observed
    )
    async with KafkaAvroSink(KafkaAvroOptions(topic=topic, **options), Path()) as sink, running(source, emit):
        while len(endpoint.asked) < 6:
            publication = replace(publications(1)[0], packet=len(sent).to_bytes(4))
            await sink.send([publication])
            sent.append(encode_container(publication))
            await emit.until_kept(sent[-1])
    assert emit.bodies == sent


@pytest.mark.parametrize("mechanism", MECHANISMS)
async def test_who_is_refused_is_told_so_and_waits_long(secured, endpoint, monkeypatch, mechanism):
    monkeypatch.setenv("KAFKA_PASSWORD", "wrong")
    endpoint.answer = (401, b'{"error": "invalid_client"}')
    options = KafkaOptions(
        bootstrap_servers=(secured.listeners["SASL_PLAINTEXT"],),
        security="sasl_plaintext",
        **credentials(mechanism, {"env": "KAFKA_PASSWORD"}, endpoint),
    )
    trouble = await trouble_of(KafkaConnectionError("unable to bootstrap"), options.client_arguments(Path()))
    assert trouble.refused
    assert trouble.detail.startswith(f"Kafka at {options.bootstrap_servers[0]}: SaslAuthenticationFailed: ")
    assert "wrong" not in trouble.detail
    assert REFUSED_PAUSE_S / 2 <= Pauses().after(trouble) <= REFUSED_PAUSE_S


async def test_a_server_whose_certificate_is_not_trusted_is_refused(secured):
    options = KafkaOptions(bootstrap_servers=(secured.listeners["SSL"],), security="ssl")
    trouble = await trouble_of(KafkaConnectionError("unable to bootstrap"), options.client_arguments(Path()))
    assert trouble.refused
    assert "certificate verify failed" in trouble.detail


async def test_trouble_that_has_passed_is_told_as_it_was(secured):
    options = KafkaOptions(bootstrap_servers=(secured.bootstrap,))
    trouble = await trouble_of(KafkaConnectionError("unable to bootstrap"), options.client_arguments(Path()))
    assert trouble == Trouble(f"Kafka at {secured.bootstrap}: KafkaConnectionError: unable to bootstrap", refused=False)


async def test_a_survey_that_is_refused_reports_and_waits(secured, monkeypatch):
    monkeypatch.setenv("KAFKA_PASSWORD", "wrong")
    observed = Observed()
    options = KafkaSurveyOptions(
        bootstrap_servers=(secured.listeners["SASL_PLAINTEXT"],),
        security="sasl_plaintext",
        topics=("t",),
        **credentials("SCRAM-SHA-512", {"env": "KAFKA_PASSWORD"}, None),
    )
    async with running(KafkaSurveySource(options, Path(), observe=observed), Keeper()), asyncio.timeout(PATIENCE_S):
        while not observed.troubles:  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(0.02)
    assert "SaslAuthenticationFailed" in observed.troubles[0]


def test_pauses_grow_to_a_limit_and_begin_anew():
    pauses, away = Pauses(), Trouble("away", refused=False)
    waited = [pauses.after(away) for _ in range(40)]
    assert waited[0] <= 0.5
    assert all(LONGEST_PAUSE_S / 2 <= pause <= LONGEST_PAUSE_S for pause in waited[10:])
    pauses.reset()
    assert pauses.after(away) <= 0.5


class Clock:
    now_s = 0.0

    def __call__(self):
        return self.now_s


async def test_a_token_is_asked_for_once_and_renewed_before_it_ends(endpoint):
    clock = Clock()
    tokens = OauthTokens(endpoint.url, "us:1", "se cret", "read", clock=clock)
    endpoint.life_s = 100.0
    assert len({await one for one in [tokens.token(), tokens.token()]}) == 1
    clock.now_s = 79.0
    await tokens.token()
    assert len(endpoint.asked) == 1
    clock.now_s = 81.0
    await asyncio.gather(tokens.token(), tokens.token())
    assert len(endpoint.asked) == 2
    assert endpoint.asked[0] == (
        "Basic dXMlM0ExOnNlJTIwY3JldA==",
        {"grant_type": "client_credentials", "scope": "read"},
    )


@pytest.mark.parametrize(
    ("answer", "error", "message"),
    [
        ((401, b'{"error": "invalid_client"}'), SaslAuthenticationFailed, "answers 401: 'invalid_client'"),
        ((400, b"<html>"), SaslAuthenticationFailed, "answers 400: None"),
        ((503, b""), ConnectionError, "answers 503"),
        ((302, b""), ConnectionError, "answers 302"),
        ((200, b"[]"), SaslAuthenticationFailed, "no access_token"),
        ((200, b'{"access_token": 7}'), SaslAuthenticationFailed, "no access_token"),
        ((200, b"[" * 100_000), SaslAuthenticationFailed, "no access_token"),
        ((200, b'{"access_token": "' + b"x" * 2 * RESPONSE_BYTES_MAX), SaslAuthenticationFailed, "no access_token"),
    ],
)
async def test_answers_that_are_no_tokens(endpoint, answer, error, message):
    endpoint.answer = answer
    with pytest.raises(error, match=message):
        await OauthTokens(endpoint.url, "us", "secret").token()


@pytest.mark.parametrize("life", [b"-1", b'"soon"', b"null"])
async def test_a_token_of_unknown_life_is_not_kept_for_long(endpoint, life):
    clock = Clock()
    endpoint.answer = (200, b'{"access_token": "t", "expires_in": %s}' % life)
    tokens = OauthTokens(endpoint.url, "us", "secret", clock=clock)
    assert await tokens.token() == "t"
    clock.now_s = 60.0
    await tokens.token()
    assert len(endpoint.asked) == 2


async def test_an_endpoint_that_does_not_answer():
    with pytest.raises(ConnectionError, match="does not answer"):
        await OauthTokens(f"http://127.0.0.1:{unused_port()}/token", "us", "secret").token()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"bootstrap_servers": ()}, "at least 1 item"),
        ({"bootstrap_servers": ("kafka",)}, "not of the form host:port"),
        ({"bootstrap_servers": ("kafka:70000",)}, "not of the form host:port"),
        ({"security": "sasl_ssl"}, "mechanism goes with"),
        ({"mechanism": "PLAIN"}, "mechanism goes with"),
        ({"security": "sasl_ssl", "mechanism": "PLAIN"}, "username and password go with"),
        ({"security": "sasl_ssl", "mechanism": "PLAIN", "username": "u"}, "username and password go with"),
        ({"username": "u"}, "username and password go with"),
        ({"security": "sasl_ssl", "mechanism": "OAUTHBEARER"}, "oauth goes with"),
        ({"ca_file": "ca.pem"}, "ca_file and client_certificate go with"),
        ({"security": "ssl", "client_key": "key.pem"}, "go with client_certificate"),
    ],
)
def test_options_that_make_no_sense(options, message):
    with pytest.raises(ValueError, match=message):
        KafkaOptions(**(SERVERS | options))


@pytest.mark.parametrize(
    "url", ["http://tokens.example.org/", "ftp://example.org", "https://", "https://user:secret@example.org/"]
)
def test_token_urls_that_would_tell_the_secret(url):
    oauth = {"client_id": "us", "client_secret": {"env": "S"}, "token_url": url}
    with pytest.raises(ValueError, match="https"):
        KafkaOptions(**SERVERS, security="sasl_ssl", mechanism="OAUTHBEARER", oauth=oauth)


def test_servers_may_have_ipv6_addresses():
    assert KafkaOptions(bootstrap_servers=("[::1]:9092",)).bootstrap_servers == ("[::1]:9092",)


def test_certificates_that_cannot_be_read_are_named(tmp_path, monkeypatch):
    (tmp_path / "ca.pem").write_text("no certificate")
    with pytest.raises(ConfigurationError, match=r"certificates cannot be used \(ca\.pem\)"):
        KafkaOptions(**SERVERS, security="ssl", ca_file="ca.pem").client_arguments(tmp_path)
    monkeypatch.setenv("KEY_PASSWORD", "x")
    options = KafkaOptions(
        **SERVERS,
        security="ssl",
        client_certificate="c.pem",
        client_key="k.pem",
        client_key_password={"env": "KEY_PASSWORD"},
    )
    with pytest.raises(ConfigurationError, match=r"\(c\.pem, k\.pem\)"):
        options.client_arguments(tmp_path)


def test_secrets_are_not_shown(monkeypatch):
    monkeypatch.setenv("KAFKA_PASSWORD", "hunter2")
    options = KafkaOptions(
        **SERVERS, security="sasl_ssl", mechanism="PLAIN", username="us", password={"env": "KAFKA_PASSWORD"}
    )
    assert "hunter2" in options.client_arguments(Path()).values()
    assert "hunter2" not in repr(options)
