"""Identifiers of VOEvents, as they are compared."""


def ivorn_key(ivorn: str) -> str:
    """The same for IVORNs that name the same thing: case does not matter, and version 2.1 writes ``?`` for ``#``.

    Examples
    --------
    >>> ivorn_key("ivo://gwnet/LVC#S190425z-1-Preliminary") == ivorn_key("IVO://GWNET/lvc?S190425z-1-Preliminary")
    True
    """
    return ivorn.strip().casefold().replace("?", "#", 1)


def stream_of(ivorn: str) -> str:
    """Who said it: the IVORN up to its local part, as it is compared.

    Examples
    --------
    >>> stream_of("ivo://nasa.gsfc.gcn/Fermi#GBM_Alert_1")
    'ivo://nasa.gsfc.gcn/fermi'
    """
    return ivorn_key(ivorn).partition("#")[0]
