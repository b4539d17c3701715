"""Parts that a user wrote: an object of a Python file, named ``file.py:name``."""

import importlib.util
from pathlib import Path
from typing import Any

from schemas.errors import ConfigurationError


def load_from_file(key: str, where: str, folder: Path) -> Any:
    """The named object of a Python file.

    Parameters
    ----------
    key
        The configuration's key that names it, for errors.
    where
        ``file.py:name``, the file relative to ``folder``.

    Raises
    ------
    ConfigurationError
        If there is no such file or object, or the file raises.
    """
    file, colon, name = where.rpartition(":")
    if not colon:
        raise ConfigurationError(f"{key}: expected file.py:name (given: {where!r})")
    path = folder / file
    spec = importlib.util.spec_from_file_location(f"starcross_{key.replace('.', '_')}", path)
    if spec is None or spec.loader is None or not path.is_file():
        raise ConfigurationError(f"{key}: no such Python file: {path}")
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
        return getattr(module, name)
    except Exception as error:  # whatever the user's file does wrong is told with its place
        raise ConfigurationError(f"{key}: {where}: {type(error).__name__}: {error}") from error
