"""A PostgreSQL server of one's own for a benchmark: in a temporary folder, on a socket there, gone afterwards."""

import os
import pwd
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

NAME = "bench"
_DEBIAN = Path("/usr/lib/postgresql")


def programs() -> Path | None:
    """The folder of the server's programs; None if there is no server."""
    found = shutil.which("initdb")
    folders = [Path(found).resolve().parent] if found else sorted(_DEBIAN.glob("*/bin"), reverse=True)
    return next((folder for folder in folders if (folder / "pg_ctl").is_file()), None)


@contextmanager
def server() -> Iterator[str]:
    """Start a server, and give the URL by which SQLAlchemy reaches it.

    PostgreSQL does not run as root, so that root starts it as another user.

    Raises
    ------
    FileNotFoundError
        If there are no `programs`.
    """
    folder, user = programs(), _user()
    if folder is None:
        raise FileNotFoundError("no server of PostgreSQL: neither initdb on the path nor in /usr/lib/postgresql/*/bin")
    with TemporaryDirectory(prefix="starcross-bench-") as name:
        if user:
            shutil.chown(name, user)
        data = Path(name) / "data"

        def run(program: str, *arguments: str) -> None:
            subprocess.run(
                [folder / program, "-D", data, *arguments],
                user=user, cwd=name, check=True, stdout=subprocess.DEVNULL, env={"LC_ALL": "C", "PATH": os.defpath},
            )  # fmt: skip

        run("initdb", "--auth=trust", f"--username={NAME}", "--no-sync", "--encoding=UTF8")
        run("pg_ctl", "-w", "-l", f"{name}/log", "-o", f"-F -k {name} -c listen_addresses=''", "start")
        try:
            yield f"postgresql+psycopg://{NAME}@/postgres?host={name}"
        finally:
            run("pg_ctl", "-w", "-m", "immediate", "stop")


def _user() -> str | None:
    """Another user than root; None if we are another already."""
    if os.geteuid():
        return None
    known = {entry.pw_name for entry in pwd.getpwall()}
    return "postgres" if "postgres" in known else "nobody"
