"""The tables of the store, as the steps that made them; a store of any earlier version is brought to the newest.

A step that was released is never changed: what is to be different is a further step. The number of steps that a
database has gone is its ``user_version``.
"""

import sqlite3

from broker.store.files import SealedFile
from schemas.errors import ConfigurationError

MIGRATIONS: tuple[str, ...] = (
    """
    CREATE TABLE position (
        source TEXT NOT NULL, name TEXT NOT NULL, value INTEGER NOT NULL,
        PRIMARY KEY (source, name)
    ) STRICT, WITHOUT ROWID;

    -- Alerts that no sealed part holds yet: a row for each batch, survey and night. seq is the number of the batch.
    CREATE TABLE alerts (
        id INTEGER PRIMARY KEY, seq INTEGER NOT NULL, survey TEXT NOT NULL, night INTEGER NOT NULL,
        rows INTEGER NOT NULL, first_us INTEGER NOT NULL, last_us INTEGER NOT NULL, columns BLOB NOT NULL
    ) STRICT;
    CREATE INDEX alerts_of_night ON alerts (survey, night, seq);

    -- Of alerts that are not stored: what the newest checkpoint of objects does not know yet.
    CREATE TABLE noted (
        id INTEGER PRIMARY KEY, seq INTEGER NOT NULL, survey TEXT NOT NULL, rows INTEGER NOT NULL,
        columns BLOB NOT NULL
    ) STRICT;
    CREATE INDEX noted_by_seq ON noted (survey, seq);

    -- When alerts expired, and up to which instant, since the oldest checkpoint.
    CREATE TABLE horizon (
        seq INTEGER PRIMARY KEY, horizon_us INTEGER NOT NULL
    ) STRICT;

    -- Folders of column files, and the files that belong into each.
    CREATE TABLE part (
        id INTEGER PRIMARY KEY, survey TEXT NOT NULL, night INTEGER NOT NULL, rows INTEGER NOT NULL,
        first_us INTEGER NOT NULL, last_us INTEGER NOT NULL, folder TEXT NOT NULL UNIQUE
    ) STRICT;
    CREATE TABLE checkpoint (
        survey TEXT PRIMARY KEY, seq INTEGER NOT NULL, objects INTEGER NOT NULL, made_us INTEGER NOT NULL,
        folder TEXT NOT NULL UNIQUE
    ) STRICT;
    CREATE TABLE file (
        folder TEXT NOT NULL, name TEXT NOT NULL, bytes INTEGER NOT NULL, digest BLOB NOT NULL,
        PRIMARY KEY (folder, name)
    ) STRICT, WITHOUT ROWID;

    CREATE TABLE packet (
        id INTEGER PRIMARY KEY, survey TEXT NOT NULL, alert_id INTEGER NOT NULL, object_id TEXT NOT NULL,
        time_us INTEGER NOT NULL, matched INTEGER NOT NULL, schema_id INTEGER, bytes INTEGER NOT NULL,
        body BLOB NOT NULL, UNIQUE (survey, alert_id)
    ) STRICT;
    CREATE INDEX packet_by_time ON packet (matched, time_us);

    CREATE TABLE notice (
        id INTEGER PRIMARY KEY, seq INTEGER NOT NULL, ivorn TEXT NOT NULL, digest BLOB NOT NULL, trigger_id TEXT,
        origin TEXT NOT NULL, topic TEXT NOT NULL, heard_us INTEGER NOT NULL, bytes INTEGER NOT NULL,
        body BLOB NOT NULL, forgotten INTEGER NOT NULL DEFAULT 0, UNIQUE (ivorn, digest)
    ) STRICT;
    CREATE INDEX notice_of_trigger ON notice (trigger_id);
    CREATE TABLE skymap (
        id INTEGER PRIMARY KEY, seq INTEGER NOT NULL, trigger_id TEXT NOT NULL, ivorn TEXT NOT NULL,
        url TEXT NOT NULL, heard_us INTEGER NOT NULL, bytes INTEGER NOT NULL, body BLOB NOT NULL,
        UNIQUE (trigger_id, ivorn)
    ) STRICT;

    CREATE TABLE coincidence (
        id TEXT NOT NULL, revision INTEGER NOT NULL, state TEXT NOT NULL, trigger_id TEXT NOT NULL,
        changed_us INTEGER NOT NULL, stored_us INTEGER NOT NULL, document TEXT NOT NULL,
        PRIMARY KEY (id, revision)
    ) STRICT;
    CREATE INDEX coincidence_by_storing ON coincidence (stored_us);

    CREATE TABLE outbox (
        id INTEGER PRIMARY KEY AUTOINCREMENT, sink TEXT NOT NULL, stored_us INTEGER NOT NULL,
        coincidence_id TEXT, revision INTEGER, substreams TEXT NOT NULL, notice_id INTEGER REFERENCES notice (id),
        FOREIGN KEY (coincidence_id, revision) REFERENCES coincidence (id, revision),
        CHECK ((coincidence_id IS NULL) <> (notice_id IS NULL)),
        CHECK ((coincidence_id IS NULL) = (revision IS NULL))
    ) STRICT;
    CREATE INDEX outbox_of_sink ON outbox (sink, id);
    CREATE INDEX outbox_of_coincidence ON outbox (coincidence_id, revision);
    CREATE INDEX outbox_of_notice ON outbox (notice_id);

    -- What substreams were ever handed to sinks, and when the first revision of it was made.
    CREATE TABLE routed (
        substream TEXT NOT NULL, coincidence_id TEXT NOT NULL, first_us INTEGER NOT NULL,
        PRIMARY KEY (coincidence_id, substream)
    ) STRICT, WITHOUT ROWID;

    CREATE TABLE capped (
        substream TEXT NOT NULL, night INTEGER NOT NULL, coincidence_id TEXT NOT NULL, revision INTEGER NOT NULL,
        PRIMARY KEY (substream, night, coincidence_id, revision),
        FOREIGN KEY (coincidence_id, revision) REFERENCES coincidence (id, revision)
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX capped_of_coincidence ON capped (coincidence_id, revision);

    CREATE TABLE rejected (
        id INTEGER PRIMARY KEY, stored_us INTEGER NOT NULL, source TEXT NOT NULL, origin TEXT NOT NULL,
        reason TEXT NOT NULL, detail TEXT NOT NULL, bytes INTEGER NOT NULL, body BLOB NOT NULL
    ) STRICT;
    CREATE TABLE total (
        name TEXT PRIMARY KEY, value INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID;
    """,
    """
    -- What holds of a coincidence since its newest revision, where it differs from that too little for a new one.
    CREATE TABLE standing (
        id TEXT PRIMARY KEY, revision INTEGER NOT NULL, document TEXT NOT NULL,
        FOREIGN KEY (id, revision) REFERENCES coincidence (id, revision) ON DELETE CASCADE
    ) STRICT;
    """,
    """
    -- What services answered about objects, the newest answer of each.
    CREATE TABLE annotation (
        survey TEXT NOT NULL, object_id TEXT NOT NULL, catalogue TEXT NOT NULL, answered_us INTEGER NOT NULL,
        document TEXT NOT NULL, PRIMARY KEY (survey, object_id, catalogue)
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX annotation_by_age ON annotation (answered_us);
    """,
    """
    -- A revision has a number that stays when others expire or the file is made smaller: readers over HTTP go on behind
    -- it. What questions ask for is told by the documents themselves.
    CREATE TABLE numbered (
        seq INTEGER PRIMARY KEY AUTOINCREMENT,
        id TEXT NOT NULL, revision INTEGER NOT NULL, state TEXT NOT NULL, trigger_id TEXT NOT NULL,
        changed_us INTEGER NOT NULL, stored_us INTEGER NOT NULL, document TEXT NOT NULL,
        matcher TEXT GENERATED ALWAYS AS (json_extract(document, '$.matcher')) VIRTUAL,
        survey TEXT GENERATED ALWAYS AS (json_extract(document, '$.object.survey')) VIRTUAL,
        object_id TEXT GENERATED ALWAYS AS (json_extract(document, '$.object.object_id')) VIRTUAL,
        private_to TEXT GENERATED ALWAYS AS (coalesce(json_extract(document, '$.trigger.private_to'), '')) VIRTUAL,
        UNIQUE (id, revision)
    ) STRICT;
    INSERT INTO numbered (seq, id, revision, state, trigger_id, changed_us, stored_us, document)
        SELECT rowid, id, revision, state, trigger_id, changed_us, stored_us, document FROM coincidence ORDER BY rowid;
    DROP TABLE coincidence;
    ALTER TABLE numbered RENAME TO coincidence;
    CREATE INDEX coincidence_by_storing ON coincidence (stored_us);
    CREATE INDEX coincidence_of_trigger ON coincidence (trigger_id);
    CREATE INDEX coincidence_of_object ON coincidence (object_id, survey);
    """,
)


def migrate(database: sqlite3.Connection) -> None:
    """Bring a database, be it empty, to the newest version, each step in one transaction.

    Raises
    ------
    ConfigurationError
        If a newer version of Starcross wrote it.
    """
    version = version_of(database)
    if version > len(MIGRATIONS):
        raise ConfigurationError(
            f"the store has version {version}, and this Starcross knows versions up to {len(MIGRATIONS)}: "
            "it was written by a newer one"
        )
    steps = list(enumerate(MIGRATIONS[version:], version + 1))
    if not steps:
        return
    # A step may make a table anew, which rows elsewhere refer to; they must not go with the old one.
    enforced = database.execute("PRAGMA foreign_keys").fetchone()[0]
    database.execute("PRAGMA foreign_keys = OFF")
    for number, step in steps:
        # PRAGMA takes no parameters, and executescript would end a transaction that it did not begin itself.
        database.executescript(f"BEGIN IMMEDIATE; {step} PRAGMA user_version = {number}; COMMIT;")
    database.execute(f"PRAGMA foreign_keys = {enforced}")


def version_of(database: sqlite3.Connection) -> int:
    """How many steps a database has gone."""
    version: int = database.execute("PRAGMA user_version").fetchone()[0]
    return version


def last_seq(database: sqlite3.Connection) -> int:
    """The highest number of a batch of which anything is left; 0 if nothing is."""
    tables = ("alerts", "noted", "notice", "skymap", "checkpoint", "horizon")
    asked = " UNION ALL ".join(f"SELECT max(seq) AS seq FROM {table}" for table in tables)  # noqa: S608 - our own names
    last: int | None = database.execute(f"SELECT max(seq) FROM ({asked})").fetchone()[0]  # noqa: S608
    return last or 0


def named_folders(database: sqlite3.Connection) -> set[str]:
    """Folders of sealed columns that belong to the store."""
    return {name for (name,) in database.execute("SELECT folder FROM part UNION ALL SELECT folder FROM checkpoint")}


def sealed_files(database: sqlite3.Connection, folder: str) -> list[SealedFile]:
    """The files that belong into a folder of sealed columns."""
    return [
        SealedFile(*row) for row in database.execute("SELECT name, bytes, digest FROM file WHERE folder = ?", [folder])
    ]
