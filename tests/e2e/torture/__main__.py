"""``python -m tests.e2e.torture --seed 1 --kills 100``."""

import argparse
import asyncio
import sys
import tempfile
from pathlib import Path

from tests.e2e.torture.run import Plan, torture
from tests.kafka_server import KafkaServer, quick_runner


def main() -> int:
    """Exit code 0 if nothing was lost, doubled or wrong."""
    parser = argparse.ArgumentParser(prog="python -m tests.e2e.torture", description=__doc__)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--kills", type=int, default=100, help="how often the service is killed")
    parser.add_argument("--rate", type=float, default=100.0, help="messages a second")
    parser.add_argument("--messages", type=int, help="about so many alerts; by default so many that they last")
    parser.add_argument("--keep", type=Path, help="folder for the store, the logs and the outputs; by default removed")
    given = parser.parse_args()
    plan = Plan(given.seed, given.kills, given.rate, messages=given.messages)
    with tempfile.TemporaryDirectory(prefix="starcross-torture-") as name:
        folder = given.keep or Path(name)
        folder.mkdir(parents=True, exist_ok=True)
        kafka_folder = Path(tempfile.mkdtemp(prefix="kafka-", dir=name))
        with KafkaServer(quick_runner(), kafka_folder) as kafka:
            report = asyncio.run(torture(plan, kafka, folder))
    sys.stdout.write(report.text())
    return 1 if report.wrong else 0


if __name__ == "__main__":
    sys.exit(main())
