"""What the harnesses share: where seeds and findings lie, and the bounds that each input must keep.

A harness is run as ``python -m tests.fuzz.fuzz_alerts -max_total_time=60`` with any option of libFuzzer; ``make fuzz``
runs all of them. Inputs that fail are kept in ``build/fuzz/found``: the same command with such a file repeats one.
"""

import sys
from collections.abc import Callable, Iterable
from hashlib import sha256
from pathlib import Path

import atheris

BUILD = Path(__file__).resolve().parents[2] / "build" / "fuzz"
LIMITS = ("-timeout=5", "-rss_limit_mb=1024", "-max_len=32768", "-len_control=0", "-print_final_stats=1")


def fuzz(name: str, read: Callable[[bytes], None], seeds: Iterable[bytes], words: Iterable[str] = ()) -> None:
    """Give `read` ever new inputs until libFuzzer's options say that it is enough; what it raises is a finding.

    Parameters
    ----------
    seeds
        Inputs to begin with; what is found on the way is kept beside them, in ``build/fuzz/corpus``.
    words
        What the format is made of, to be put into inputs.
    """
    corpus, found = BUILD / "corpus" / name, BUILD / "found"
    for folder in (corpus, found):
        folder.mkdir(parents=True, exist_ok=True)
    for seed in seeds:
        (corpus / sha256(seed).hexdigest()[:16]).write_bytes(seed)
    dictionary = corpus.with_suffix(".words")
    dictionary.write_text("".join(f'"{_escaped(word)}"\n' for word in words))
    options = [f"-dict={dictionary}", f"-artifact_prefix={found}/{name}-"]
    given = sys.argv[1:]
    repeats = any(not option.startswith("-") for option in given)
    atheris.Setup([sys.argv[0], *LIMITS, *options, *given, *([] if repeats else [str(corpus)])], read)
    atheris.Fuzz()


def _escaped(word: str) -> str:
    return "".join(c if c.isascii() and (c.isalnum() or c in " .:/_-") else f"\\x{ord(c):02x}" for c in word)
