"""What the configuration may say, and how what it may not is told."""

import pytest
from pydantic import ValidationError

from bridges.vtp_in.options import Remote, VtpReceiverOptions, VtpSubscriberOptions
from schemas.errors import ConfigurationError


@pytest.mark.parametrize(
    ("address", "host", "port"),
    [
        ("voevent.example.org", "voevent.example.org", 8099),
        ("voevent.example.org:18099", "voevent.example.org", 18099),
        ("192.0.2.1:8099", "192.0.2.1", 8099),
        ("[2001:db8::1]", "2001:db8::1", 8099),
        ("[2001:db8::1]:99", "2001:db8::1", 99),
    ],
)
def test_an_address_is_a_host_and_a_port(address, host, port):
    (remote,) = VtpSubscriberOptions.model_validate({"remotes": [address]}).remotes
    assert (remote.host, remote.port) == (host, port)


@pytest.mark.parametrize("address", ["", ":8099", "host:0", "host:70000", "host:x", "a b", "http://host", "a@b"])
def test_what_is_no_address_is_told(address):
    with pytest.raises(ValidationError, match="expected host or host:port"):
        Remote(address=address)


def test_filters_are_checked_where_they_are_written():
    good = Remote.model_validate({"address": "host", "filters": ["//Param[@name='Packet_Type' and @value='112']"]})
    assert len(good.filters) == 1
    with pytest.raises(ValidationError, match="no XPath expression"):
        Remote(address="host", filters=("//Param[",))
    with pytest.raises(ValidationError, match="has 5001 characters"):
        Remote(address="host", filters=("/" + "a" * 5000,))


def test_trusted_authorities_that_cannot_be_read_are_named(tmp_path):
    assert Remote(address="host").client_context(tmp_path) is None
    assert Remote(address="host", tls=True).client_context(tmp_path) is not None
    (tmp_path / "ca.pem").write_text("no certificate")
    for name in ("absent.pem", "ca.pem"):
        with pytest.raises(ConfigurationError, match=f"TLS of host: {name}"):
            Remote(address="host", tls=True, authorities=name).client_context(tmp_path)


def test_our_name_is_an_ivorn():
    assert VtpReceiverOptions(local_ivo="ivo://org.example/starcross").local_ivo.startswith("ivo://")
    with pytest.raises(ValidationError, match="local_ivo"):
        VtpReceiverOptions(local_ivo="org.example/starcross")


def test_a_port_is_open_to_others_only_on_purpose():
    assert VtpReceiverOptions().address.is_loopback
    with pytest.raises(ValidationError, match="say who may submit"):
        VtpReceiverOptions(address="192.0.2.1")
    VtpReceiverOptions.model_validate({"address": "192.0.2.1", "access": {"allow": ["192.0.2.0/24"]}})
