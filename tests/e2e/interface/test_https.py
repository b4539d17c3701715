"""HTTPS: by the service itself, and by a real nginx before it, with the configuration that is shipped."""

import json
import re
import shutil
import socket
import ssl
import subprocess
from urllib.parse import quote

import httpx
import pytest

from tests.bridges.vtp.certificates import make_certificate
from tests.conftest import PROJECT
from tests.e2e.conftest import run
from tests.e2e.interface.conftest import MAP, UNLIMITED, serving
from tests.e2e.service_process import ServiceProcess, configured, until
from tests.missing import program


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    folder = tmp_path_factory.mktemp("certificate")
    make_certificate(folder)
    return folder


def trusting(certificate, **given) -> httpx.Client:
    """Somebody who trusts the certificate that was made."""
    context = ssl.create_default_context(cafile=certificate / "cert.pem")
    transport = httpx.HTTPTransport(verify=context, local_address=given.pop("local_address", None))
    return httpx.Client(transport=transport, timeout=60, **given)


def test_https_by_the_service_itself(night, tmp_path, certificate, monkeypatch):
    for name in ("cert.pem", "key.pem"):
        shutil.copy(certificate / name, tmp_path)
    with serving(tmp_path, night[1], "tls_certificate = 'cert.pem'\ntls_key = 'key.pem'", measured=False) as interface:
        assert interface.url.startswith("https://127.0.0.1:")
        with trusting(certificate, base_url=interface.url) as client:
            assert client.get("/api/v1/status").json()["ready"]
            assert client.get("/healthz").status_code == 404  # which is another port's
            signed_in = client.post(
                "/session",
                json={"token": interface.token()},
                headers={"Origin": interface.url, "Host": interface.url[8:]},
            )
            assert "Secure" in signed_in.headers["Set-Cookie"]
        with pytest.raises(httpx.HTTPError):
            httpx.get(interface.url.replace("https", "http"))
        with pytest.raises(httpx.ConnectError, match="CERTIFICATE_VERIFY_FAILED"):
            httpx.get(interface.url)
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate / "cert.pem"))
        (tmp_path / "burst.fits").write_bytes(MAP)
        (tmp_path / "token").write_text(interface.token())
        ran = run("upload", tmp_path / "burst.fits", "--server", interface.url, "--token-file", tmp_path / "token")
        assert (ran.code, ran.err) == (0, "")
        status, ready = interface.service.get("/readyz")
        assert status == 200, ready


def test_a_certificate_that_is_none_ends_with_2(night, tmp_path, certificate):
    (tmp_path / "key.pem").write_text("no key")
    shutil.copy(certificate / "cert.pem", tmp_path)
    http = "[http]\nenabled = true\nport = 0\ntls_certificate = 'cert.pem'\ntls_key = 'key.pem'"
    service = ServiceProcess(configured(tmp_path, night[1], http))
    assert service.ended() == 2
    assert re.search(r"http: TLS: cert\.pem, key\.pem: ", service.text)


def test_a_check_tries_port_and_certificate(tmp_path, certificate):
    for name in ("cert.pem", "key.pem"):
        shutil.copy(certificate / name, tmp_path)
    config = tmp_path / "one.toml"
    port = free_port()
    http = f"[http]\nenabled = true\nport = {port}\ntls_certificate = 'cert.pem'\ntls_key = "
    config.write_text(f"{http}'key.pem'")
    good = run("check", config, "--connect", "--json")
    assert good.code == 0
    (tried,) = (one for one in json.loads(good.out)["connections"] if one["part"] == "http")
    assert tried["what"] == f"127.0.0.1:{port} can be listened at"
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", port))
        taken.listen()
        assert "cannot be listened at: " in run("check", config, "--connect", "--json").out
    config.write_text(f"{http}'cert.pem'")
    bad = run("check", config, "--connect", "--json")
    assert bad.code == 1
    assert "http: TLS: cert.pem, cert.pem: " in bad.out


@pytest.fixture(scope="module")
def nginx_command():
    return program("nginx", package="nginx-light")


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def shipped(upstream: str, port: int, certificate) -> str:
    """The configuration that is shipped, at other places."""
    text = (PROJECT / "config/examples/nginx.conf").read_text()
    for what, other in (
        ("server 127.0.0.1:8080;", f"server {upstream};"),
        ("listen 443 ssl http2;", f"listen 127.0.0.1:{port} ssl http2;"),
        ("/etc/ssl/starcross.example.org/fullchain.pem", str(certificate / "cert.pem")),
        ("/etc/ssl/starcross.example.org/key.pem", str(certificate / "key.pem")),
    ):
        assert text.count(what) == 1
        text = text.replace(what, other)
    return text


@pytest.fixture(scope="module")
def proxied(night, certificate, nginx_command, tmp_path_factory):
    """A service, and nginx before it."""
    folder = tmp_path_factory.mktemp("nginx")
    http = f"trusted_proxies = ['127.0.0.1']\n{UNLIMITED}"
    with serving(folder, night[1], http, "", "service.log_level=debug", measured=False) as interface:
        port = free_port()
        places = "".join(
            f"{name}_temp_path {folder / name};\n" for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        )
        (folder / "nginx.conf").write_text(
            f"worker_processes 1;\npid {folder / 'pid'};\nerror_log stderr warn;\nevents {{}}\n"
            f"http {{\naccess_log off;\n{places}{shipped(interface.url.removeprefix('http://'), port, certificate)}}}\n"
        )
        command = [nginx_command, "-p", str(folder), "-c", str(folder / "nginx.conf"), "-g", "daemon off;"]
        with subprocess.Popen(command, stderr=subprocess.PIPE) as nginx:
            url = f"https://localhost:{port}"
            until(lambda: reached(port) or nginx.poll() is not None, "nginx")
            assert nginx.poll() is None, nginx.stderr.read()
            yield interface, url
            nginx.terminate()


def reached(port: int) -> bool:
    with socket.socket() as one:
        return one.connect_ex(("127.0.0.1", port)) == 0


def remote_of(interface, answer) -> str:
    """Who it was, as the log has it."""
    name = answer.headers["X-Request-Id"]
    found = until(lambda: [line for line in interface.service.events("request") if line["request"] == name], "its line")
    return found[0]["remote"]


def test_the_proxy_tells_who_asks_and_how(proxied, certificate):
    interface, url = proxied
    with trusting(certificate, base_url=url, local_address="127.0.0.2") as client:
        answer = client.get("/api/v1/status", headers={"X-Forwarded-For": "203.0.113.7"})
        assert answer.status_code == 200
        assert remote_of(interface, answer) == "127.0.0.2"
        signed_in = client.post("/session", json={"token": interface.token()}, headers={"Origin": url})
        assert signed_in.status_code == 200
        assert "Secure" in signed_in.headers["Set-Cookie"]
        client.cookies.clear()
        strange = client.post("/session", json={"token": interface.token()}, headers={"Origin": "https://evil.example"})
        assert strange.status_code == 403
    direct = interface.get("status", x_forwarded_for="203.0.113.7")
    assert remote_of(interface, direct) == "203.0.113.7"  # since this machine is trusted


def test_identifiers_come_through_as_they_are(proxied, certificate):
    interface, url = proxied
    one = interface.coincidences(limit=1)[0]
    ivorn = f"ivo://org.example/stream//x#{one['id']}.r1"
    with trusting(certificate, base_url=url) as client:
        for text in (quote(ivorn, safe=""), quote(ivorn, safe="/:")):
            answer = client.get(f"/api/v1/voevents/{text}")
            assert answer.status_code == 200, answer.text
            assert answer.content == interface.get(f"voevents/{one['id']}.r1").content


def test_large_uploads_pass_and_too_large_ones_are_told_so_by_us(proxied, certificate):
    interface, url = proxied
    shown = {"Authorization": f"Bearer {interface.token()}"}
    with trusting(certificate, base_url=f"{url}/api/v1", headers=shown) as client:
        made = client.post("/skymaps", files={"skymap": MAP})
        assert made.status_code == 201
        assert made.headers["Location"] == f"/api/v1/skymaps/{made.json()['id']}"
        large = client.post("/skymaps", files={"skymap": bytes(20 << 20)})
        assert large.status_code == 422
        too_large = client.post("/skymaps", content=bytes((32 << 20) + 1), headers={"Content-Type": "application/fits"})
        assert too_large.status_code == 413
        assert too_large.headers["Content-Type"].startswith("application/problem+json")


def test_streams_come_at_once_and_are_never_packed(proxied, certificate):
    interface, url = proxied
    first = interface.coincidences(limit=1, revisions="all")[0]
    since = {"since": f"{first['id']}.r{first['revision']}"}
    with (
        trusting(certificate, base_url=f"{url}/api/v1") as client,
        client.stream("GET", "/stream", params=since) as answer,
    ):
        assert answer.headers["Content-Type"].startswith("text/event-stream")
        assert "Content-Encoding" not in answer.headers
        lines = answer.iter_lines()
        told = next(line for line in lines if line.startswith("data: {"))
        assert json.loads(told.removeprefix("data: ")) == interface.coincidences(limit=2, revisions="all")[1]
        assert httpx.post(
            f"{interface.url}/api/v1/skymaps",
            files={"skymap": MAP},
            headers={"Authorization": f"Bearer {interface.token()}"},
        ).json()["coincidences"]
        assert any(
            '"matcher": "upload"' in line or '"matcher":"upload"' in line for line in lines if line.startswith("data:")
        )


def test_what_is_packed_and_tagged_stays_so(proxied, certificate):
    _, url = proxied
    with trusting(certificate, base_url=f"{url}/api/v1") as client:
        packed = client.get("/coincidences", headers={"Accept-Encoding": "gzip"})
        assert packed.headers["Content-Encoding"] == "gzip"
        again = client.get("/coincidences", headers={"If-None-Match": packed.headers["ETag"]})
        assert (again.status_code, again.content) == (304, b"")
