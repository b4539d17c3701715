"""From configuration to parts: the one place where names become matchers."""

from pathlib import Path

from pydantic import ValidationError

from broker.config import Config, MatcherSection, problems
from broker.interfaces import Matcher
from broker.python_files import load_from_file
from matchers.options import BUILTIN, build_matcher
from schemas.errors import ConfigurationError


def make_matchers(config: Config, folder: Path) -> list[Matcher]:
    """The enabled matchers of a configuration, sorted by name.

    Parameters
    ----------
    folder
        Where relative paths of the configuration start.

    Raises
    ------
    ConfigurationError
        Naming the key, such as ``matchers.grb.before_s``.
    """
    return [_matcher(name, section, folder) for name, section in sorted(config.matchers.items()) if section.enabled]


def _matcher(name: str, section: MatcherSection, folder: Path) -> Matcher:
    key = f"matchers.{name}"
    options = section.model_extra or {}
    if section.python:
        if section.kind:
            raise ConfigurationError(f"{key}: has both kind and python; one of them says what it is")
        return _own_matcher(key, name, section.python, options, folder)
    kind = section.kind or name
    if kind not in BUILTIN:
        known = ", ".join(sorted(BUILTIN))
        raise ConfigurationError(
            f"{key}.kind: there is no kind {kind!r}; there are {known}, and python = 'file.py:Class'"
        )
    try:
        return build_matcher(name, kind, options)
    except ValidationError as error:
        raise ConfigurationError("\n".join(problems(error, key))) from error


def _own_matcher(key: str, name: str, where: str, options: dict[str, object], folder: Path) -> Matcher:
    class_name = where.rpartition(":")[2]
    made_by = load_from_file(f"{key}.python", where, folder)
    try:
        made = made_by(name=name, **options)
    except Exception as error:  # whatever the user's class does wrong is told with its place
        raise ConfigurationError(f"{key}.python: {where}: {type(error).__name__}: {error}") from error
    for needed in ("window", "match"):
        if not callable(getattr(made, needed, None)):
            raise ConfigurationError(f"{key}.python: {class_name} has no method {needed}(); see broker/interfaces.py")
    matcher: Matcher = made
    return matcher
