"""Where writer schemas come from: a registry over HTTP, a folder of files, or an installed package."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from importlib import metadata
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import aiohttp
from yarl import URL

from schemas.catalogue import SchemaCatalogue
from schemas.errors import BadPacket, ConfigurationError, Reason, UnknownSchema
from schemas.writer_schema import DEFAULT_LIMITS, schema_json

PACKAGE = "lsst-alert-packet"
"""Ships every version of Rubin's alert schema. It is licensed under GPL-3 and has heavy dependencies, so it is an
option (``starcross[lsst]``) whose schema files are read as data; its code is not imported."""

FILES_MAX = 10_000
RESPONSE_BYTES_MAX = 4 << 20
TIMEOUT_S = 10.0

_ID_FILE = re.compile(r"\d{1,10}")
_NOT_FOUND = 404
_SUCCESSES = range(200, 300)


def add_from_folder(catalogue: SchemaCatalogue, folder: Path) -> tuple[int, ...]:
    """Take all schemas of a folder and those below it.

    Two kinds of file count: ``<id>.avsc``, a whole schema as a registry gave it, and the files of Rubin's alert
    schemas, one type each (``lsst.v10_0.alert.avsc`` and what it refers to).

    Returns
    -------
    tuple of int
        The ids that are known now through this folder, sorted.

    Raises
    ------
    ConfigurationError
        If there is no such folder, no schema in it, or one that cannot be used.
    """
    if not folder.is_dir():
        raise ConfigurationError(f"no folder of schemas at {folder}")
    files = sorted(folder.rglob("*.avsc"))
    if len(files) > FILES_MAX:
        raise ConfigurationError(f"{folder} holds {len(files)} schema files; at most {FILES_MAX} are read")
    added: set[int] = set()
    parts: list[bytes] = []
    for file in files:
        try:
            text = _read(file)
            schema_json(text)
            if _ID_FILE.fullmatch(file.stem):
                catalogue.add(int(file.stem), text)
                added.add(int(file.stem))
            else:
                parts.append(text)
        except (BadPacket, OSError) as error:
            raise ConfigurationError(f"schema file {file}: {error}") from error
    added.update(_add_lsst(catalogue, parts, str(folder)))
    if not added:
        raise ConfigurationError(f"{folder} holds neither lsst.v*.alert.avsc nor <id>.avsc")
    return tuple(sorted(added))


def add_from_package(catalogue: SchemaCatalogue, package: str = PACKAGE) -> tuple[int, ...]:
    """Take all schemas of the installed package; none, without complaint, where it is not installed.

    Returns
    -------
    tuple of int
        The ids that are known now through the package, sorted.

    Raises
    ------
    ConfigurationError
        If the package is damaged.
    """
    try:
        files = metadata.files(package) or []
    except metadata.PackageNotFoundError:
        return ()
    try:
        texts = [_read(Path(str(file.locate()))) for file in files if file.suffix == ".avsc"]
    except (BadPacket, OSError) as error:
        raise ConfigurationError(f"package {package}: {error}") from error
    added = _add_lsst(catalogue, texts, f"package {package}")
    if not added:  # from Python 3.12 on, files that are gone are not listed
        raise ConfigurationError(f"package {package}: holds no lsst.v*.alert.avsc; install it again")
    return added


class SchemaRegistry:
    """A schema registry in Confluent's manner, asked for one schema at a time.

    Parameters
    ----------
    url
        Its root: ``https://registry.example.org``, with a path, or with ``user:password@``.
    catalogue
        Takes what was found.
    timeout_s
        Longest time of one request.

    Raises
    ------
    ConfigurationError
        If the URL is none of http or https.
    """

    def __init__(self, url: str, catalogue: SchemaCatalogue, *, timeout_s: float = TIMEOUT_S) -> None:
        try:
            self._url = URL(url)
        except ValueError as error:
            raise ConfigurationError(f"schema registry: {url!r} is no URL: {error}") from error
        if self._url.scheme not in {"http", "https"} or not self._url.host:
            raise ConfigurationError(f"schema registry: {url!r} does not begin with http:// or https:// and a host")
        self._shown = str(self._url.with_user(None))
        self._catalogue = catalogue
        self._timeout = aiohttp.ClientTimeout(total=timeout_s)
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(timeout=self._timeout)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def fetch(self, schema_id: int) -> None:
        """Ask for a schema and put it into the catalogue; nothing is asked if it is there already.

        Raises
        ------
        UnknownSchema
            If the registry does not have it.
        BadPacket
            If what it sent cannot be used.
        ConnectionError
            If it does not answer, or not with a schema: to be tried again later.
        """
        if schema_id in self._catalogue:
            return
        status, body = await self._ask("GET", "schemas", "ids", str(schema_id))
        if status == _NOT_FOUND:
            raise UnknownSchema(schema_id)
        answer = self._object(status, body)
        if not isinstance(answer.get("schema"), str):
            raise BadPacket(Reason.MALFORMED, f"schema registry {self._shown} sent no schema for id {schema_id}")
        if answer.get("schemaType", "AVRO") != "AVRO" or answer.get("references"):
            raise BadPacket(Reason.UNSUPPORTED, f"schema {schema_id} is not Avro, or refers to other schemas")
        self._catalogue.add(schema_id, answer["schema"].encode())

    async def register(self, subject: str, schema: str) -> int:
        """Make a schema known under a subject, and return its number; the same one if it is known already.

        Raises
        ------
        BadPacket
            If what the registry sent cannot be used.
        ConnectionError
            If it does not answer, or does not take the schema: to be tried again later.
        """
        status, body = await self._ask("POST", "subjects", subject, "versions", document={"schema": schema})
        schema_id = self._object(status, body).get("id")
        if not isinstance(schema_id, int) or isinstance(schema_id, bool):
            raise BadPacket(Reason.MALFORMED, f"schema registry {self._shown} sent no number for {subject}")
        return schema_id

    async def subjects(self) -> list[str]:
        """The names under which schemas are registered.

        Raises
        ------
        BadPacket
            If what the registry sent cannot be used.
        ConnectionError
            If it does not answer.
        """
        status, body = await self._ask("GET", "subjects")
        answer = self._json(status, body)
        return [str(name) for name in answer] if isinstance(answer, list) else []

    async def _ask(self, method: str, *path: str, document: Mapping[str, str] | None = None) -> tuple[int, bytes]:
        if self._session is None:
            raise RuntimeError("SchemaRegistry is used outside of its 'async with'")
        try:
            url = self._url.joinpath(*path)
            async with self._session.request(method, url, json=document, allow_redirects=False) as response:
                return response.status, await _bounded(response.content, RESPONSE_BYTES_MAX)
        except (aiohttp.ClientError, TimeoutError) as error:
            what = str(error) or type(error).__name__
            raise ConnectionError(f"schema registry {self._shown} does not answer: {what}") from error

    def _object(self, status: int, body: bytes) -> dict[str, Any]:
        answer = self._json(status, body)
        return answer if isinstance(answer, dict) else {}

    def _json(self, status: int, body: bytes) -> object:
        if status not in _SUCCESSES:  # a redirect is not followed
            raise ConnectionError(f"schema registry {self._shown} answers {status}")
        return schema_json(body, replace(DEFAULT_LIMITS, schema_bytes=RESPONSE_BYTES_MAX))


async def _bounded(content: aiohttp.StreamReader, most: int) -> bytes:
    body = bytearray()
    async for chunk in content.iter_chunked(1 << 16):
        body += chunk
        if len(body) > most:
            raise BadPacket(Reason.TOO_LARGE, f"schema registry sent more than {most} bytes")
    return bytes(body)


def _add_lsst(catalogue: SchemaCatalogue, texts: Iterable[bytes], where: str) -> tuple[int, ...]:
    try:
        return catalogue.add_lsst(texts)
    except BadPacket as error:
        raise ConfigurationError(f"{where}: {error}") from error


def _read(file: Path) -> bytes:
    with file.open("rb") as stream:
        return stream.read(DEFAULT_LIMITS.schema_bytes + 1)
