"""A store with revisions of coincidences, and questions to it."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from broker.store.options import StoreOptions
from broker.store.records import Batch
from broker.store.store import Store
from broker.web.access import Principal
from broker.web.queries import Questions
from broker.web.tokens import Scope
from schemas.records import Coincidence, State
from tests.coincidences import changed

NOBODY = Principal(scopes=frozenset({Scope.READ}))
ADA = Principal("ada", frozenset({Scope.READ}), "a")
BOB = Principal("bob", frozenset({Scope.READ}), "b")
ROOT = Principal("root", frozenset({Scope.ADMIN}), "r")


def revision(
    name: str, number: int = 1, *, private_to: str = "", trigger: str = "lvk:S1", obj: str = "", **own: object
) -> Coincidence:
    """A revision of a coincidence."""
    own = {"state": State.PROPOSED, "changed_us": number} | own
    told = {"private_to": private_to, "id": trigger}
    return changed(id=name, revision=number, trigger=told, object={"object_id": obj or f"ZTF{name}"}, **own)


@dataclass
class Kept:
    """The store, and questions to it."""

    store: Store
    questions: Questions

    async def keep(self, *changes: Coincidence) -> None:
        """Store them, in one batch."""
        await self.store.commit(Batch(source="test", changes=changes))


@asynccontextmanager
async def kept(folder: Path, changes: Sequence[Coincidence] = ()) -> AsyncIterator[Kept]:
    """A store in a folder, with these revisions."""
    store = await Store.open(folder, StoreOptions(), lambda: 1)
    questions = Questions(folder)
    try:
        one = Kept(store, questions)
        if changes:
            await one.keep(*changes)
        yield one
    finally:
        await questions.close()
        await store.close()


async def until(condition) -> None:
    """Wait until something is so."""
    async with asyncio.timeout(30):
        while not condition():  # noqa: ASYNC110 - what is waited for is another task's doing
            await asyncio.sleep(0.002)
