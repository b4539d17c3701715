import asyncio
import json
import sys
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from bridges.schema_registry import RESPONSE_BYTES_MAX, SchemaRegistry, add_from_folder, add_from_package
from schemas.catalogue import SchemaCatalogue
from schemas.errors import BadPacket, ConfigurationError, UnknownSchema
from tests.survey_packets import LSST, LSST_PARTS, ZTF


def _write(folder: Path, **schemas):
    folder.mkdir(parents=True, exist_ok=True)
    for name, schema in schemas.items():
        (folder / f"{name}.avsc").write_text(schema if isinstance(schema, str) else json.dumps(schema))


def test_a_folder_of_parts_and_of_whole_schemas(tmp_path):
    _write(tmp_path / "10" / "0", alert=LSST, **LSST_PARTS)
    _write(tmp_path, **{"77": ZTF})
    (tmp_path / "notes.txt").write_text("not a schema")
    catalogue = SchemaCatalogue()
    assert add_from_folder(catalogue, tmp_path) == (77, 1000)
    assert catalogue.get(77).source["name"] == "ztf.alert"
    assert 1000 in catalogue


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({}, "holds neither"),
        ({"ztf": ZTF}, "holds neither"),
        ({"12": "{"}, r"12\.avsc.*not JSON"),
        ({"other": "["}, r"other\.avsc.*not JSON"),
        ({"alert": LSST}, "does not define"),
        ({"99999999999": ZTF}, "holds neither"),
        ({"9999999999": ZTF}, r"9999999999\.avsc.*32 bits"),
    ],
)
def test_a_folder_that_makes_no_sense(tmp_path, files, message):
    _write(tmp_path, **files)
    with pytest.raises(ConfigurationError, match=message):
        add_from_folder(SchemaCatalogue(), tmp_path)


def test_a_folder_that_is_not_there(tmp_path):
    with pytest.raises(ConfigurationError, match="no folder"):
        add_from_folder(SchemaCatalogue(), tmp_path / "nowhere")


def test_too_many_files(tmp_path, monkeypatch):
    monkeypatch.setattr("bridges.schema_registry.FILES_MAX", 1)
    _write(tmp_path, a=ZTF, b=ZTF)
    with pytest.raises(ConfigurationError, match="at most 1"):
        add_from_folder(SchemaCatalogue(), tmp_path)


@pytest.fixture
def installed(tmp_path, monkeypatch):
    """A package of schema files and of code that fails when it is imported, installed as a wheel would be."""

    def install(**schemas):
        _write(tmp_path / "pack_of_schemas" / "schema", **schemas)
        (tmp_path / "pack_of_schemas" / "__init__.py").write_text("raise SystemExit")
        info = tmp_path / "pack_of_schemas-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text("Metadata-Version: 2.1\nName: pack-of-schemas\nVersion: 1.0\n")
        files = [path.relative_to(tmp_path).as_posix() for path in sorted(tmp_path.rglob("*")) if path.is_file()]
        (info / "RECORD").write_text("".join(f"{file},,\n" for file in files))
        monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])

    return install


def test_the_schemas_of_a_package_are_read_as_data(installed):
    installed(alert=LSST, **LSST_PARTS)
    catalogue = SchemaCatalogue()
    assert add_from_package(catalogue, "pack-of-schemas") == (1000,)
    assert 1000 in catalogue
    assert "pack_of_schemas" not in sys.modules


def test_a_damaged_package_is_named(installed):
    installed(alert=LSST)
    with pytest.raises(ConfigurationError, match="package pack-of-schemas"):
        add_from_package(SchemaCatalogue(), "pack-of-schemas")


def test_a_package_with_files_that_are_gone(installed, tmp_path):
    installed(alert=LSST, **LSST_PARTS)
    (tmp_path / "pack_of_schemas" / "schema" / "alert.avsc").unlink()
    with pytest.raises(ConfigurationError, match="package pack-of-schemas"):
        add_from_package(SchemaCatalogue(), "pack-of-schemas")


def test_a_package_that_is_not_installed_adds_nothing():
    assert add_from_package(SchemaCatalogue(), "no-such-package-of-schemas") == ()


def test_real_schemas_in_a_folder(data_dir):
    found = add_from_folder(SchemaCatalogue(), data_dir / "schemas" / "pittgoogle")
    assert found == (700, 701, 702, 703, 704, 800, 900, 1000, 1100, 1101)


@asynccontextmanager
async def _registry(respond, catalogue, **options):
    asked = []

    async def handler(request):
        asked.append(request.path)
        return await respond(request)

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", handler)
    async with TestServer(app) as server:
        url = str(server.make_url("/api"))
        async with SchemaRegistry(url, catalogue, **options) as registry:
            registry.asked = asked
            yield registry


def _json(status=200, **answer):
    async def respond(_request):
        return web.json_response(answer, status=status)

    return respond


async def test_a_schema_is_fetched_once():
    catalogue = SchemaCatalogue()
    async with _registry(_json(schema=json.dumps(ZTF)), catalogue) as registry:
        await registry.fetch(41)
        await registry.fetch(41)
        assert registry.asked == ["/api/schemas/ids/41"]
    assert catalogue.get(41).source["name"] == "ztf.alert"


async def test_a_schema_that_the_registry_does_not_have():
    async with _registry(_json(404, error_code=40403), SchemaCatalogue()) as registry:
        with pytest.raises(UnknownSchema):
            await registry.fetch(41)


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        ({"schema": "{"}, "malformed"),
        ({"schema": 5}, "sent no schema for id 41"),
        ({"schema": "{}", "schemaType": "PROTOBUF"}, "not Avro"),
        ({"schema": "{}", "references": [{"name": "a"}]}, "refers to other"),
        ({"schema": json.dumps(ZTF), "deep": json.loads("[" * 60 + "]" * 60)}, "too_deep"),
        ({"schema": "x" * RESPONSE_BYTES_MAX}, "too_large"),
    ],
)
async def test_an_answer_that_cannot_be_used(answer, message):
    async with _registry(_json(**answer), SchemaCatalogue()) as registry:
        with pytest.raises(BadPacket, match=message):
            await registry.fetch(41)


@pytest.mark.parametrize("status", [500, 401, 302])
async def test_a_registry_that_answers_otherwise(status):
    async with _registry(_json(status), SchemaCatalogue()) as registry:
        with pytest.raises(ConnectionError, match=f"answers {status}"):
            await registry.fetch(41)


async def test_a_schema_is_registered_under_its_subject():
    async def respond(request):
        assert request.method == "POST"
        assert await request.json() == {"schema": json.dumps(ZTF)}
        return web.json_response({"id": 41})

    async with _registry(respond, SchemaCatalogue()) as registry:
        assert await registry.register("t-value", json.dumps(ZTF)) == 41
        assert registry.asked == ["/api/subjects/t-value/versions"]


@pytest.mark.parametrize("answer", [{}, {"id": "41"}, {"id": True}])
async def test_a_registration_without_a_number(answer):
    async with _registry(_json(**answer), SchemaCatalogue()) as registry:
        with pytest.raises(BadPacket, match="sent no number for t-value"):
            await registry.register("t-value", "{}")


async def test_a_schema_that_the_registry_does_not_take():
    async with _registry(_json(409, message="incompatible"), SchemaCatalogue()) as registry:
        with pytest.raises(ConnectionError, match="answers 409"):
            await registry.register("t-value", "{}")


async def test_a_registry_that_is_slow():
    async def respond(_request):
        await asyncio.sleep(30)

    async with _registry(respond, SchemaCatalogue(), timeout_s=0.05) as registry:
        with pytest.raises(ConnectionError, match="does not answer"):
            await registry.fetch(41)


async def test_a_registry_that_is_not_there(unused_tcp_port):
    async with SchemaRegistry(f"http://someone:secret@127.0.0.1:{unused_tcp_port}", SchemaCatalogue()) as registry:
        with pytest.raises(ConnectionError, match="does not answer") as caught:
            await registry.fetch(41)
    assert "secret" not in str(caught.value)


async def test_it_is_used_inside_its_context():
    with pytest.raises(RuntimeError, match="async with"):
        await SchemaRegistry("http://localhost", SchemaCatalogue()).fetch(1)


@pytest.mark.parametrize("url", ["", "registry.example.org", "ftp://registry.example.org", "http://", "http://[bad"])
def test_urls_that_make_no_sense(url):
    with pytest.raises(ConfigurationError, match="schema registry"):
        SchemaRegistry(url, SchemaCatalogue())
