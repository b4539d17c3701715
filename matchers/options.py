"""The built-in kinds of matchers: their options, and how one is made of them."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from matchers.grb import GrbOptions, grb
from matchers.gw import GwOptions, gw
from matchers.neutrino import NeutrinoOptions, neutrino
from matchers.search import Search, SearchOptions
from matchers.xray import XrayOptions, xray


class Kind(NamedTuple):
    """A kind of matcher: the model of its options and the function that makes it of a name and options."""

    options: type[SearchOptions]
    make: Callable[[str, Any], Search]


BUILTIN: dict[str, Kind] = {
    "grb": Kind(GrbOptions, grb),
    "gw": Kind(GwOptions, gw),
    "neutrino": Kind(NeutrinoOptions, neutrino),
    "xray": Kind(XrayOptions, xray),
}


def build_matcher(name: str, kind: str, options: Mapping[str, Any]) -> Search:
    """A built-in matcher.

    Parameters
    ----------
    name
        What it is called in the configuration and in coincidences.
    kind
        A key of `BUILTIN`.
    options
        Its options, as the configuration gives them.

    Raises
    ------
    KeyError
        If there is no such kind.
    pydantic.ValidationError
        If an option is unknown or makes no sense.
    """
    model, make = BUILTIN[kind]
    return make(name, model.model_validate(dict(options)))
