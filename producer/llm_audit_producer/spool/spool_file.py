"""One producer's entries in one SQLite file, in the order of their sequences.

Invariants:

- When :meth:`SpoolFile.append` returns, the entry is in the file: it survives the process's death by any signal. It
  survives the machine's only with ``fsync``.
- Sequences only grow, and the file remembers the highest one it ever held, also after that entry was delivered.
- A file holds what the fixed schema ids can name, never a registry's: it can be read without one.

Layout: ``entry(sequence, body, parked)``, the body being the message that the topic would get; ``fact(name, value)``.
SQLite is in WAL mode. Appending and forgetting happen under a lock of this process, since SQLite's own waiting is
coarse; reading goes through a connection of its own and waits for neither.
"""

from __future__ import annotations

import ctypes
import os
import sqlite3
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib import resources
from pathlib import Path

from llm_audit_producer.spool.errors import SpoolBrokenError
from llm_audit_schemas import AuditEntry, EntryCodec
from llm_audit_schemas.errors import UndecodableMessageError

SUFFIX = ".spool"
ROW_BYTES = 64
"""What an entry takes on disk beside its body, about."""

_BUSY_SECONDS = 5.0


class SpoolFile:
    """An open spool file.

    Args:
        path: Where it lies; made when missing.
        facts: What a new file is to remember of its producer.
        fsync: Wait for the disk at each append.

    Raises:
        SpoolBrokenError: it cannot be made or opened.
    """

    def __init__(self, path: Path, facts: Mapping[str, str] | None = None, *, fsync: bool = False) -> None:
        self.path = path
        self._codec = EntryCodec()
        self._lock = threading.Lock()
        with _broken(path):
            os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
            self._writer = self._connect(fsync=fsync)
            self._reader = self._connect(fsync=False)
            self._writer.executescript(_sql("make_tables"))
            self._writer.executemany(_sql("note_fact"), (facts or {}).items())
            measured: tuple[int, int, int] = self._writer.execute(_sql("measure")).fetchone()
            self.count, self.bytes, self.parked = measured

    def append(self, entry: AuditEntry) -> int:
        """Take an entry; returns about how many bytes it takes.

        Raises:
            SpoolBrokenError: the disk does not take it.
            InvalidEntryError: the entry does not fit the schema.
        """
        body = self._codec.encode(entry)
        with self._lock, _broken(self.path):
            self._writer.execute(_APPEND, (entry.sequence, body))
            self.count += 1
            self.bytes += len(body) + ROW_BYTES
        return len(body) + ROW_BYTES

    def read(self, after: int, limit: int) -> list[tuple[int, AuditEntry | None]]:
        """The next entries after a sequence that are not parked, each with its sequence; ``None`` for unreadable ones.

        Raises:
            SpoolBrokenError: the disk does not give them.
        """
        with _broken(self.path):
            rows = self._reader.execute(_sql("read_after"), (after, limit)).fetchall()
        return [(sequence, self._entry(body)) for sequence, body in rows]

    def forget(self, sequences: Sequence[int]) -> None:
        """Delete what was delivered.

        Raises:
            SpoolBrokenError: the disk does not take it; delivering the entries again does no harm.
        """
        with self._lock, _broken(self.path):
            self._writer.execute("BEGIN")
            try:
                for sequence in sequences:
                    row = self._writer.execute(_sql("forget"), (sequence,)).fetchone()
                    if row is not None:
                        self.count -= 1
                        self.bytes -= row[0] + ROW_BYTES
            finally:
                self._writer.execute("COMMIT")

    def park(self, sequence: int) -> None:
        """Put an entry aside that its destination refuses for what it is; it stays in the file.

        Raises:
            SpoolBrokenError: the disk does not take it.
        """
        with self._lock, _broken(self.path):
            self.parked += self._writer.execute(_sql("park"), (sequence,)).rowcount

    def unpark(self) -> None:
        """Have everything that was put aside tried once more.

        Raises:
            SpoolBrokenError: the disk does not take it.
        """
        with self._lock, _broken(self.path):
            self._writer.execute(_sql("unpark"))
            self.parked = 0

    def first(self) -> AuditEntry | None:
        """The entry that waits longest.

        Raises:
            SpoolBrokenError: the disk does not give it.
        """
        rows = self.read(-1, 1)
        return rows[0][1] if rows else None

    @property
    def last_sequence(self) -> int:
        """The highest sequence it ever held; -1 for none."""
        with _broken(self.path):
            row = self._reader.execute(_sql("last_sequence")).fetchone()
        return -1 if row is None else int(row[0])

    def facts(self) -> dict[str, str]:
        """What it remembers of its producer."""
        with _broken(self.path):
            return dict(self._reader.execute(_sql("facts")).fetchall())

    def abandon(self) -> None:
        """Never touch it again: in a forked child, where closing SQLite's handles could touch the parent's file."""
        for connection in (self._writer, self._reader):
            ctypes.pythonapi.Py_IncRef(
                ctypes.py_object(connection)
            )  # not even the interpreter's end closes it

    def close(self, *, remove: bool = False) -> None:
        """Close it; with ``remove``, for good."""
        with self._lock, _broken(self.path):
            self._reader.close()
            self._writer.close()
            if remove:
                for suffix in ("-wal", "-shm", ""):
                    self.path.with_name(self.path.name + suffix).unlink(missing_ok=True)

    def _connect(self, *, fsync: bool) -> sqlite3.Connection:
        connection = sqlite3.connect(
            self.path, timeout=_BUSY_SECONDS, isolation_level=None, check_same_thread=False
        )
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute(f"PRAGMA synchronous = {'FULL' if fsync else 'OFF'}")
        return connection

    def _entry(self, body: bytes) -> AuditEntry | None:
        try:
            return self._codec.decode(body)
        except UndecodableMessageError:
            return None


@contextmanager
def _broken(path: Path) -> Iterator[None]:
    try:
        yield
    except (sqlite3.Error, OSError) as error:
        raise SpoolBrokenError(f"the spool file {path} fails: {error}") from error


def _sql(name: str) -> str:
    return _STATEMENTS[name]


def _read_statements() -> dict[str, str]:
    folder = resources.files(__package__).joinpath("sql")
    return {
        each.name.removesuffix(".sql"): each.read_text(encoding="utf-8")
        for each in folder.iterdir()
        if each.name.endswith(".sql")
    }


_STATEMENTS = _read_statements()
_APPEND = _STATEMENTS["append"]
