"""A certificate for localhost, made by the openssl command."""

import shutil
import subprocess
from pathlib import Path

import pytest


def make_certificate(folder: Path) -> None:
    """Write cert.pem and key.pem; skips where there is no openssl."""
    if (openssl := shutil.which("openssl")) is None:
        pytest.skip("no openssl command to make a certificate with")
    names = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"]
    kind = ["-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"]
    files = ["-keyout", str(folder / "key.pem"), "-out", str(folder / "cert.pem")]
    subprocess.run([openssl, "req", *kind, *names, *files], check=True, capture_output=True)
