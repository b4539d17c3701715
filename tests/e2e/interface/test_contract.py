"""The document against the service: whatever a client makes of the one, the other keeps to it.

STARCROSS_TEST_EXAMPLES says how many requests to make of each kind (by default a few).
"""

import base64
import json
import os
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from broker.web.documentation import DOCUMENT_PATH
from tests.children import unmeasured
from tests.conftest import PROJECT
from tests.e2e.interface.conftest import UNLIMITED, serving
from tests.schemas.maps import blob, flat

pytestmark = pytest.mark.timeout(600)
EXAMPLES = int(os.environ.get("STARCROSS_TEST_EXAMPLES", "4"))
CONFIG = Path(__file__).with_name("schemathesis.toml")
MAP = flat(blob(3, sigma_deg=2.0), **{"DATE-OBS": "2026-10-06T05:00:00"})


class MapHandler(BaseHTTPRequestHandler):
    """A host that maps may be fetched from."""

    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Length", str(len(MAP)))
        self.end_headers()
        self.wfile.write(MAP)

    def log_message(self, *_):
        pass


@pytest.fixture(scope="module")
def map_host():
    with ThreadingHTTPServer(("127.0.0.1", 0), MapHandler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.fixture(scope="module")
def interface(night, map_host, tmp_path_factory):
    maps = f"[maps]\nhosts = ['{map_host}']\nallow_http = true\nallow_private = true"
    with serving(tmp_path_factory.mktemp("contract"), night[1], UNLIMITED, maps, measured=False) as one:
        yield one


@pytest.fixture(scope="module")
def stored(interface, map_host) -> dict[str, list[str]]:
    page = interface.get("coincidences?limit=3").json()
    return {
        "cursor": [page["next"]],
        "trigger-cursor": [interface.get("triggers?limit=2").json()["next"]],
        "revision": [f"{one['id']}.r1" for one in page["items"]],
        "condition": ["credible_level < 0.5", 'object.mag < 20 and trigger.messenger == "gamma-ray"'],
        "date-time": ["2026-10-05T04:30:00Z", "2026-10-06T00:00:00.5Z"],
        "map-url": [f"http://{map_host}/burst.fits"],
    }


def test_the_document_is_openapi_to_the_letter(interface):
    from openapi_spec_validator import validate  # noqa: PLC0415 - it takes seconds, of each worker

    validate(interface.get(DOCUMENT_PATH).json())


def ask_everything(interface, stored, examples: int, token: str = "") -> None:
    """Let schemathesis ask the service whatever the document allows, and what it does not."""
    shown = ["--header", f"Authorization: Bearer {token}"] if token else []
    (one,) = interface.coincidences(limit=1)
    environment = unmeasured() | {
        "STARCROSS_OBJECT": f"{one['object']['survey']}:{one['object']['object_id']}",
        "SCHEMATHESIS_HOOKS": "tests.e2e.interface.valid_values",
        "STARCROSS_STORED": json.dumps(stored),
        "STARCROSS_MAP": base64.b64encode(MAP).decode(),
        "PYTHONPATH": str(PROJECT),
    }
    command, where = Path(sys.executable).with_name("schemathesis"), f"{interface.url}{DOCUMENT_PATH}"
    done = subprocess.run(
        [command, "--config-file", CONFIG, "run", where, *shown, "--max-examples", str(examples)],
        cwd=interface.config.parent,
        env=environment,
        capture_output=True,
        text=True,
        timeout=500,
        check=False,
    )
    assert done.returncode == 0, f"{done.stdout[done.stdout.find('FAILURES') :]}\n{done.stderr}"
    assert "No issues found" in done.stdout, done.stdout


def test_whoever_has_a_token_gets_what_the_document_says(interface, stored):
    ask_everything(interface, stored, EXAMPLES, interface.token())


def test_whoever_has_none_gets_what_the_document_says(interface, stored):
    ask_everything(interface, stored, 1 + EXAMPLES // 4)
