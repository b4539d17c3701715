"""Tokens: who may do what over HTTP. Made by ``starcross token``, kept in a small database beside that of the store.

A token is ``st_`` and 12 hex digits that name it, and a secret of 256 random bits; only the SHA-256 of the secret is
kept. A slow hash would add nothing: nobody guesses 256 bits, and whoever reads the database learns no token.
"""

import hashlib
import hmac
import re
import secrets
import sqlite3
from collections.abc import Collection
from contextlib import closing
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from schemas.errors import ConfigurationError
from schemas.times import US_PER_DAY, US_PER_S, iso_from_us

FILE = "tokens.sqlite"
LONGEST_TOKEN = 128
_TOKEN = re.compile(r"st_([0-9a-f]{12})_([A-Za-z0-9_-]{43})")
_BUSY_S = 5.0
_USED_STEP_US = 3600 * US_PER_S
"""The last use is kept to the hour: to know which tokens are dead needs no more, and costs a write an hour."""
_SCHEMA = """
CREATE TABLE IF NOT EXISTS token (
    id TEXT PRIMARY KEY,
    secret_sha256 BLOB NOT NULL,
    owner TEXT NOT NULL,
    scopes TEXT NOT NULL,
    made_us INTEGER NOT NULL,
    expires_us INTEGER,
    revoked_us INTEGER,
    used_us INTEGER
) STRICT
"""


class Scope(StrEnum):
    """What a token allows. ``admin`` allows everything, and to see what is private to others."""

    READ = "read"
    UPLOAD = "upload"
    ADMIN = "admin"


@dataclass(frozen=True, slots=True)
class Token:
    """A token without its secret.

    Attributes
    ----------
    id
        Its public name, for lists, logs and revoking.
    owner
        Whose it is: what one token of an owner uploaded, the owner's other tokens see.
    made_us, expires_us, revoked_us, used_us
        When it was made, will end (None: never), was taken back, and was last used, to the hour.
    """

    id: str
    owner: str
    scopes: frozenset[Scope]
    made_us: int
    expires_us: int | None = None
    revoked_us: int | None = None
    used_us: int | None = None

    def trouble(self, now_us: int) -> str:
        """Why it does not count at an instant; empty if it does."""
        if self.revoked_us is not None:
            return f"revoked at {iso_from_us(self.revoked_us)}"
        if self.expires_us is not None and self.expires_us <= now_us:
            return f"expired at {iso_from_us(self.expires_us)}"
        return ""


class Tokens:
    """The tokens of a service. Any process may make and revoke them while the service runs.

    Parameters
    ----------
    folder
        That of the store; made if there is none.

    Raises
    ------
    ConfigurationError
        If the database cannot be opened.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / FILE
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._path.touch(mode=0o600)
            with closing(self._opened()) as database:
                database.execute("PRAGMA journal_mode = WAL")
                database.execute(_SCHEMA)
        except (OSError, sqlite3.Error) as error:
            raise ConfigurationError(f"{self._path}: cannot be opened: {error}") from error

    def make(
        self, owner: str, scopes: Collection[Scope], now_us: int, *, days: float | None = None
    ) -> tuple[str, Token]:
        """Make a token; returns its whole text, which is told only here, and what is kept.

        Raises
        ------
        ConfigurationError
            If the owner has no name, there is no scope, or it would end before it begins.
        """
        if not owner.strip() or len(owner) > LONGEST_TOKEN or not owner.isprintable():
            raise ConfigurationError("the owner of a token needs a name of printable characters, 128 at most")
        if not scopes:
            raise ConfigurationError(f"a token needs a scope; there are {', '.join(Scope)}")
        if days is not None and not 0 < days < 36_525:  # noqa: PLR2004 - a century
            raise ConfigurationError(f"a token lasts more than 0 days and less than a century (given: {days:g})")
        secret = secrets.token_urlsafe(32)
        expires_us = None if days is None else now_us + round(days * US_PER_DAY)
        token = Token(secrets.token_hex(6), owner.strip(), frozenset(scopes), now_us, expires_us)
        row = token.id, _digest(secret), token.owner, " ".join(sorted(token.scopes)), token.made_us, token.expires_us
        with closing(self._opened()) as database:
            database.execute(
                "INSERT INTO token (id, secret_sha256, owner, scopes, made_us, expires_us) VALUES (?, ?, ?, ?, ?, ?)",
                row,
            )
        return f"st_{token.id}_{secret}", token

    def all(self) -> list[Token]:
        """All that were ever made, oldest first."""
        with closing(self._opened()) as database:
            return [_token(row) for row in database.execute(f"{_SELECT} ORDER BY made_us, id")]

    def revoke(self, token_id: str, now_us: int) -> None:
        """Take a token back, from now on.

        Raises
        ------
        ConfigurationError
            If there is none, or it was revoked before.
        """
        with closing(self._opened()) as database:
            changed = database.execute(
                "UPDATE token SET revoked_us = ? WHERE id = ? AND revoked_us IS NULL", [now_us, token_id]
            ).rowcount
        if not changed:
            raise ConfigurationError(f"there is no token {token_id!r} that could be revoked")

    def find(self, text: str, now_us: int) -> Token | None:
        """The token of this text, whether it still counts or not; None if nobody made it. Notes that it was used."""
        parts = _TOKEN.fullmatch(text) if len(text) <= LONGEST_TOKEN else None
        if parts is None:
            return None
        with closing(self._opened()) as database:
            row = database.execute(f"{_SELECT} WHERE id = ?", [parts[1]]).fetchone()
            if row is None or not hmac.compare_digest(row[-1], _digest(parts[2])):
                return None
            token = _token(row)
            if not token.trouble(now_us) and now_us - (token.used_us or 0) >= _USED_STEP_US:
                database.execute("UPDATE token SET used_us = ? WHERE id = ?", [now_us, token.id])
        return token

    def trouble_of(self, token_id: str, now_us: int) -> str:
        """Why a token that was found before does not count any more; empty if it does."""
        with closing(self._opened()) as database:
            row = database.execute(f"{_SELECT} WHERE id = ?", [token_id]).fetchone()
        return "nobody made this token" if row is None else _token(row).trouble(now_us)

    def _opened(self) -> sqlite3.Connection:
        return sqlite3.connect(self._path, isolation_level=None, timeout=_BUSY_S)


_SELECT = "SELECT id, owner, scopes, made_us, expires_us, revoked_us, used_us, secret_sha256 FROM token"


def _token(row: tuple[str, str, str, int, int | None, int | None, int | None, bytes]) -> Token:
    known, owner, scopes, made_us, expires_us, revoked_us, used_us, _ = row
    return Token(known, owner, frozenset(map(Scope, scopes.split())), made_us, expires_us, revoked_us, used_us)


def _digest(secret: str) -> bytes:
    return hashlib.sha256(secret.encode()).digest()
