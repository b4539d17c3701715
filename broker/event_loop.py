"""The one event loop of the service."""

import asyncio
from collections.abc import Callable, Coroutine
from importlib import import_module
from typing import Any

try:
    import uvloop as loops
except ImportError:  # there is none for Windows
    import asyncio as loops  # type: ignore[no-redef]


def run_service(main: Callable[[], Coroutine[Any, Any, int]], *, with_reactor: bool = False) -> int:
    """Run ``main`` on one loop, uvloop's where there is one, until it returns its exit code.

    Parameters
    ----------
    with_reactor
        Run Twisted's reactor on the same loop. What needs it (`bridges.vtp_in.subscriber`, `bridges.vtp_in.receiver`)
        is imported by ``main`` or later. A process without it does not spend half a second on importing Twisted.

    Raises
    ------
    KeyboardInterrupt
        On Ctrl-C, unless ``main`` handles the signal; after ``main`` was cancelled.
    """
    with asyncio.Runner(loop_factory=loops.new_event_loop) as runner:
        if not with_reactor:
            return runner.run(main())
        reactors = import_module("broker.reactor")
        reactor = reactors.install(runner.get_loop())

        async def beside_the_reactor() -> int:
            async with reactors.running(reactor):
                return await main()

        return runner.run(beside_the_reactor())
