"""A folder of results: every change and the final state, as JSON, Avro and VOEvents.

======================  =====================================================================
``coincidences.jsonl``  the final state of each coincidence, one a line, in `order`
``coincidences.avro``   the same, as an Avro object container file
``changes.jsonl``       every change, one a line, in the order in which they came about
``voevents/*.xml``      a packet for each change: ``<coincidence>.r<revision>.xml``
``substreams.jsonl``    what the substreams would have sent, one a line, with their names
``rejected.jsonl``      each input that could not be read, by origin
``summary.json``        counts; written last, so that where it is, the rest is whole and of the same run
======================  =====================================================================

The bytes depend on what is written alone. All is made in ``.partial`` inside the folder and moved into place
at the end: a run that is killed leaves the results of the run before as they were. Files of any other name stay, but
for ``sky.png``, the picture of an earlier run, which `OutputFolder.finish` removes: a new one is drawn afterwards.
"""

import hashlib
import json
import re
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self
from urllib.parse import quote

from bridges.delivery import publication_json
from schemas.coincidence import to_json
from schemas.coincidence_avro import write_container
from schemas.errors import ConfigurationError
from schemas.records import Coincidence, Publication, Rejection
from schemas.voevent_out import VoeventAuthor, voevent_bytes

_FILES: Final = ("coincidences.jsonl", "coincidences.avro", "changes.jsonl", "substreams.jsonl", "rejected.jsonl")
_SUMMARY: Final = "summary.json"
_VOEVENTS: Final = "voevents"
_PICTURE: Final = "sky.png"
_PARTIAL: Final = ".partial"
_VOEVENT_NAME: Final = re.compile(r".+\.r\d+\.xml")
_LONGEST_NAME: Final = 200
"""File systems allow 255 bytes."""


def order(coincidence: Coincidence) -> tuple[int, str, str]:
    """Sort key of ``coincidences.jsonl``: by trigger (time, then id) and matcher; then as handed over."""
    return coincidence.trigger.time_us, coincidence.trigger.id, coincidence.matcher


class OutputFolder:
    """Writes the results of one run. Synchronous: give it a thread where a loop must not wait.

    Use it as a context manager: what is not finished at its end is thrown away.

    Parameters
    ----------
    path
        The folder, made if need be. Results of an earlier run in it are replaced by `finish`. Only one run may write
        to it at a time.
    author
        Who publishes the VOEvents.

    Raises
    ------
    ConfigurationError
        If the path cannot be a folder to write to.
    """

    def __init__(self, path: Path, author: VoeventAuthor) -> None:
        self.path = path
        self._author = author
        self._partial = path / _PARTIAL
        try:
            path.mkdir(parents=True, exist_ok=True)
            shutil.rmtree(self._partial, ignore_errors=True)
            (self._partial / _VOEVENTS).mkdir(parents=True)
            self._changes = (self._partial / "changes.jsonl").open("w", encoding="ascii", newline="\n")
            self._substreams = (self._partial / "substreams.jsonl").open("w", encoding="ascii", newline="\n")
        except OSError as error:
            raise ConfigurationError(f"{path}: results cannot be written there: {error.strerror}") from error
        except KeyboardInterrupt:
            shutil.rmtree(self._partial, ignore_errors=True)
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._close()
        shutil.rmtree(self._partial, ignore_errors=True)

    def change(self, coincidence: Coincidence) -> None:
        """Write one change: a line and a VOEvent.

        Raises
        ------
        ValueError
            If a number that must be known is NaN or infinite.
        """
        self._changes.write(to_json(coincidence) + "\n")
        (self._partial / _VOEVENTS / _voevent_name(coincidence)).write_bytes(voevent_bytes(coincidence, self._author))

    def publish(self, publication: Publication) -> None:
        """Write what substreams send.

        Raises
        ------
        ValueError
            If a number that must be known is NaN or infinite.
        """
        self._substreams.write(publication_json(publication) + "\n")

    def finish(self, final: Iterable[Coincidence], rejected: Iterable[Rejection], summary: Mapping[str, Any]) -> None:
        """Write the final state and put everything in its place. Nothing may be written afterwards.

        Parameters
        ----------
        final
            All coincidences in their last revision, the withdrawn included, best first.
        rejected
            What could not be read, in any order.
        summary
            Of JSON types.

        Raises
        ------
        ValueError
            If a number that must be known is NaN or infinite.
        """
        self._close()
        ordered = sorted(final, key=order)
        self._write_lines("coincidences.jsonl", map(to_json, ordered))
        with (self._partial / "coincidences.avro").open("wb") as stream:
            write_container(stream, ordered)
        by_origin = sorted(rejected, key=lambda rejection: (rejection.origin, rejection.reason, rejection.detail))
        self._write_lines("rejected.jsonl", map(_rejection_json, by_origin))
        self._write_lines(_SUMMARY, [json.dumps(summary, indent=2, allow_nan=False)])
        self._move_into_place()

    def _close(self) -> None:
        self._changes.close()
        self._substreams.close()

    def _write_lines(self, name: str, lines: Iterable[str]) -> None:
        with (self._partial / name).open("w", encoding="ascii", newline="\n") as stream:
            stream.writelines(line + "\n" for line in lines)

    def _move_into_place(self) -> None:
        """Replace the results of an earlier run; no summary stands while they are mixed."""
        for name in (_SUMMARY, _PICTURE):
            (self.path / name).unlink(missing_ok=True)
        voevents = self.path / _VOEVENTS
        voevents.mkdir(exist_ok=True)
        for old in voevents.iterdir():
            if _VOEVENT_NAME.fullmatch(old.name):
                old.unlink()
        for new in (self._partial / _VOEVENTS).iterdir():
            new.replace(voevents / new.name)
        for name in (*_FILES, _SUMMARY):
            (self._partial / name).replace(self.path / name)
        shutil.rmtree(self._partial)


def _voevent_name(coincidence: Coincidence) -> str:
    """A file name for any id: nothing in it leaves the folder, and two ids never share one."""
    name = quote(coincidence.id, safe="", errors="surrogatepass")
    if len(name) > _LONGEST_NAME:
        name = hashlib.sha256(name.encode()).hexdigest()
    return f"{name}.r{coincidence.revision}.xml"


def _rejection_json(rejection: Rejection) -> str:
    document = {"origin": rejection.origin, "reason": str(rejection.reason), "detail": rejection.detail}
    return json.dumps(document, separators=(",", ":"))
