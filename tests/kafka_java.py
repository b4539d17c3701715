"""How the Kafka of the tests is run: by Java, with what Maven fetches once into the cache, or by Docker.

Beside the jars lies in the cache what every start would have to do again: the storage of a server as the formatting
leaves it, and an archive of the classes that a start loads (Java's class data sharing). They halve what a start costs.
"""

import contextlib
import fcntl
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

POM = Path(__file__).parent / "kafka" / "pom.xml"
VERSION = re.search(r"<kafka.version>(.+)</", POM.read_text()).group(1)
MAVEN_S = 250.0
OPTIONS = (
    "-Xmx512m",
    "-XX:+UseSerialGC",
    "-XX:TieredStopAtLevel=1",
    "-XX:-UsePerfData",
    "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
    "-Dorg.slf4j.simpleLogger.log.kafka.server.KafkaRaftServer=info",
)


@dataclass(frozen=True)
class Runner:
    """How Kafka's Java is run: with the jars of a folder, or in a container.

    Attributes
    ----------
    noting
        Where a server that ends well leaves the archive of the classes that it has loaded.
    """

    jars: Path | None = None
    noting: Path | None = None

    @property
    def docker(self) -> bool:
        return self.jars is None

    @property
    def classes(self) -> Path | None:
        """Where the archive of classes lies, or is to lie; empty where this Java cannot make one."""
        return self.jars and self.jars.with_name(f"{self.jars.name}.classes")

    @property
    def formatted(self) -> Path | None:
        """Where formatted storage lies, or is to lie."""
        return self.jars and self.jars.with_name(f"{self.jars.name}.formatted")

    def command(self, folder: Path, *arguments: str, name: str = "") -> list[str]:
        """How to run a class of Kafka with these arguments, which uses a folder."""
        if self.jars:
            return ["java", *OPTIONS, *self._sharing(), "-cp", f"{self.jars}/*", *arguments]
        user = f"{os.getuid()}:{os.getgid()}"
        shared = ["--network=host", f"--volume={folder}:{folder}", f"--user={user}", "--entrypoint=java"]
        named = [f"--name={name}"] if name else []
        image = f"apache/kafka:{VERSION}"
        return ["docker", "run", "--rm", *shared, *named, image, "-Xmx512m", "-cp", "/opt/kafka/libs/*", *arguments]

    def _sharing(self) -> list[str]:
        if self.noting:
            return [f"-XX:ArchiveClassesAtExit={self.noting}"]
        # What another Java has made is passed over by itself.
        made = self.classes is not None and self.classes.is_file() and self.classes.stat().st_size
        return [f"-XX:SharedArchiveFile={self.classes}", "-Xlog:disable", "-Xlog:all=error:stderr"] if made else []


def runner() -> Runner:
    """How Kafka can be run here.

    Raises
    ------
    RuntimeError
        If it cannot, and why.
    """
    reasons = []
    if shutil.which("java") and shutil.which("mvn"):
        try:
            return Runner(jars())
        except (RuntimeError, subprocess.TimeoutExpired) as error:
            reasons.append(f"Maven: {error}")
    else:
        reasons.append("no java and mvn")
    if shutil.which("docker"):
        if subprocess.run(["docker", "info"], capture_output=True, check=False).returncode == 0:
            return Runner()
        reasons.append("Docker does not run")
    else:
        reasons.append("no docker")
    raise RuntimeError("no Kafka server (set STARCROSS_TEST_KAFKA=host:port): " + "; ".join(reasons))


@contextlib.contextmanager
def cache() -> Iterator[Path]:
    """The folder of what is made once, for one process at a time."""
    folder = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "starcross-tests"
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield folder


def jars() -> Path:
    """Folder of Kafka and all that it needs, fetched once."""
    with cache() as made:
        folder = made / f"kafka-{VERSION}"
        if not folder.is_dir():
            with tempfile.TemporaryDirectory(dir=made) as partial:
                goal = ("dependency:copy-dependencies", f"-DoutputDirectory={partial}/jars", "-DincludeScope=runtime")
                command = ["mvn", "--batch-mode", "--quiet", f"--file={POM}", *goal]
                done = subprocess.run(command, capture_output=True, text=True, timeout=MAVEN_S, check=False)
                if done.returncode:
                    raise RuntimeError(done.stdout[-2000:] + done.stderr[-2000:])
                (Path(partial) / "jars").rename(folder)
    return folder
