"""Who may come, and with which certificate."""

import ssl
from ipaddress import ip_address
from pathlib import Path

import pytest
from pydantic import ValidationError

from bridges.vtp.options import AccessList, BroadcastOptions, TlsOptions
from schemas.errors import ConfigurationError
from tests.bridges.vtp.certificates import make_certificate


def test_who_is_allowed_and_not_denied_may_come():
    some = AccessList(allow=("192.0.2.0/24", "2001:db8::/32"), deny=("192.0.2.66/32",))
    admitted = [
        some.admits(ip_address(text)) for text in ("192.0.2.1", "2001:db8::1", "192.0.2.66", "198.51.100.1", "::1")
    ]
    assert admitted == [True, True, False, False, False]
    everybody_but = AccessList(deny=("192.0.2.66/32",))
    assert everybody_but.admits(ip_address("198.51.100.1"))
    assert not everybody_but.admits(ip_address("192.0.2.66"))


@pytest.mark.parametrize("address", ["0.0.0.0", "::", "192.0.2.1"])  # noqa: S104 - refused
def test_the_open_network_is_opened_on_purpose(address):
    with pytest.raises(ValidationError, match="who may connect"):
        BroadcastOptions(address=address)
    assert BroadcastOptions(address=address, access={"allow": ["0.0.0.0/0"]}).address == ip_address(address)


def test_an_answer_is_due_before_the_next_question():
    with pytest.raises(ValidationError, match="answer_limit_s"):
        BroadcastOptions(keepalive_s=10, answer_limit_s=20)


def test_tls_of_files(tmp_path: Path):
    make_certificate(tmp_path)
    options = TlsOptions(certificate="cert.pem", key="key.pem")
    assert options.server_context(tmp_path).verify_mode is ssl.CERT_NONE
    strict = TlsOptions(certificate="cert.pem", key="key.pem", client_authorities="cert.pem")
    assert strict.server_context(tmp_path).verify_mode is ssl.CERT_REQUIRED


def test_tls_files_that_make_no_sense_are_named(tmp_path: Path):
    with pytest.raises(ConfigurationError, match=r"cert\.pem, key\.pem"):
        TlsOptions(certificate="cert.pem", key="key.pem").server_context(tmp_path)
    (tmp_path / "cert.pem").write_text("no certificate")
    with pytest.raises(ConfigurationError, match=r"cert\.pem"):
        TlsOptions(certificate="cert.pem", key="cert.pem").server_context(tmp_path)
