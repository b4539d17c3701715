"""What a baseline needs beyond Starcross, and whether it is there."""

from collections.abc import Iterable
from importlib.util import find_spec

from tests.bench.postgres import programs

SERVER = "PostgreSQL's server"


def lacking(needs: Iterable[str]) -> list[str]:
    """Those packages, or `SERVER`, that are not installed."""
    return [need for need in needs if not (programs() if need == SERVER else _is_installed(need))]


def _is_installed(package: str) -> bool:
    try:
        return find_spec(package) is not None
    except ModuleNotFoundError:  # of the package that it is in
        return False
