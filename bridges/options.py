"""What the configuration of every bridge shares: strict keys, and secrets that never stand in the file itself."""

import os
from pathlib import Path
from typing import Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from schemas.errors import ConfigurationError


class Options(BaseModel):
    """A table of the configuration: unknown keys are errors, values never change."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Secret(Options):
    """Where a secret is read: one of a file, an environment variable, or a credential of the service manager."""

    file: Path | None = Field(None, description="File that holds it; relative to the configuration file.")
    env: str | None = Field(None, description="Environment variable that holds it.")
    credential: str | None = Field(None, description="Name of a systemd credential (`LoadCredential=`).")

    @model_validator(mode="after")
    def _one_place(self) -> Self:
        if sum(place is not None for place in (self.file, self.env, self.credential)) != 1:
            raise ValueError("name one of file, env and credential")
        return self

    def read(self, folder: Path) -> str:
        """The secret, without surrounding white space.

        Parameters
        ----------
        folder
            Where relative paths of the configuration start.

        Raises
        ------
        ConfigurationError
            If it is not there or empty.
        """
        if self.env is not None:
            value = os.environ.get(self.env, "").strip()
            if not value:
                raise ConfigurationError(f"the environment variable {self.env} is not set")
            return value
        path = folder / self.file if self.file is not None else self._credential_path()
        try:
            value = path.read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigurationError(f"{path}: the secret cannot be read: {error}") from error
        if not value:
            raise ConfigurationError(f"{path}: the secret is empty")
        return value

    def _credential_path(self) -> Path:
        credentials = os.environ.get("CREDENTIALS_DIRECTORY")
        if not credentials or self.credential is None or "/" in self.credential:
            raise ConfigurationError(f"there is no credential {self.credential!r} (CREDENTIALS_DIRECTORY is not set)")
        return Path(credentials) / self.credential
