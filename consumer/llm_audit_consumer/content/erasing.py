"""Erases a user: the key goes first, and with it every copy of the content; then what is left is tidied away.

Order, and why: the record that somebody erases is there before anything happens. Then the user's key is deleted and a
tombstone left in one step, from where on nothing of the user's content can be read, wherever a copy lies, and none that
is still on its way gets a key. What follows can be broken off at any place: run again, it does what is left.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

from llm_audit_consumer.content.keys import KeyStore
from llm_audit_consumer.content.sql import statement
from llm_audit_consumer.errors import ConfigurationError, LegalHoldError
from llm_audit_consumer.store.postgres import Database
from llm_audit_schemas import UNATTRIBUTED, EntryCodec, UndecodableMessageError

_FIRST_ID = "00000000-0000-0000-0000-000000000000"
_SHORTEST_REASON = 3

Progress = Callable[[int], None]
"""Told how many entries more are done."""


@dataclass(frozen=True, slots=True)
class Whom:
    """Who is to be erased.

    Attributes:
        user_id: The user.
        tenant: Only of this tenant; of all, and of none, where not given.
    """

    user_id: str
    tenant: str | None = None


@dataclass(slots=True)
class Reached:
    """What an erasure came to, or would.

    Attributes:
        keys: Keys deleted.
        contents: Rows of content deleted; they were unreadable already.
        entries: Entries of the log whose hashes, and where asked for whose names, are gone.
        dead_letters: Dead letters deleted.
        dead_letters_named: Places of dead letters that hold the user's name and cannot be read, so that a person must
            judge them: topic, partition, offset.
    """

    keys: int = 0
    contents: int = 0
    entries: int = 0
    dead_letters: int = 0
    dead_letters_named: list[tuple[str, int, int]] = field(default_factory=list)


class Eraser:
    """Erases users.

    Args:
        database: The audit database; its login must be a member of ``llm_audit_retention``.
        keys: The key store.
        codec: Reads dead letters.
        batch_rows: Most entries in one transaction.
    """

    def __init__(self, database: Database, keys: KeyStore, codec: EntryCodec, batch_rows: int = 2000) -> None:
        self._database = database
        self._keys = keys
        self._codec = codec
        self._batch_rows = batch_rows

    def plan(self, whom: Whom) -> Reached:
        """What erasing would reach; changes nothing.

        Raises:
            LegalHoldError: a hold forbids it.
        """
        _check(whom)
        key_ids = self._keys.key_ids(whom.user_id, whom.tenant)
        with self._transaction():
            self._refuse_held(whom)
            named = {**asdict(whom), "key_ids": key_ids}
            (count,) = self._database.rows(statement("count_of_user"), named)
        reached = Reached(keys=len(key_ids), contents=count["contents"], entries=count["entries"])
        for row, readable in self._dead_letters(whom):
            self._note_dead_letter(reached, row, readable=readable)
        return reached

    def erase(
        self,
        whom: Whom,
        *,
        operator: str,
        reason: str,
        pseudonymise: bool,
        progress: Progress = lambda _: None,
    ) -> Reached:
        """Erase; when this returns it is done and recorded.

        Raises:
            ConfigurationError: no name, no reason, or a role that may not.
            LegalHoldError: a hold forbids it; nothing was erased.
            DatabaseUnavailableError: a database does not answer; run it again.
        """
        _check(whom)
        if not operator.strip() or len(reason.strip()) < _SHORTEST_REASON:
            raise ConfigurationError(
                "an erasure is recorded with who had it done and why",
                "say why, in three letters or more: --reason 'request of 2026-11-20'",
            )
        erasure = {
            "erasure_id": str(uuid4()),
            "pseudonym": self._keys.pseudonym(whom.user_id, whom.tenant),
            "operator": operator,
            "reason": reason,
            "metadata": "pseudonymise" if pseudonymise else "keep",
        }
        reached = Reached()
        with self._transaction():
            self._refuse_held(whom)
            self._database.execute(statement("open_erasure"), erasure)
        self._erase_keys(whom, erasure, reached)
        self._erase_entries(whom, erasure, reached, pseudonymise=pseudonymise, progress=progress)
        self._erase_dead_letters(whom, erasure, reached)
        with self._transaction():
            self._database.execute(statement("close_erasure"), erasure)
        return reached

    def _erase_keys(self, whom: Whom, erasure: dict[str, str], reached: Reached) -> None:
        with self._transaction():
            self._refuse_held(whom)  # none can be placed until this transaction ends
            key_ids = self._keys.erase(whom.user_id, whom.tenant, datetime.now(UTC))
            reached.keys = len(key_ids)
            self._record(erasure, keys=len(key_ids))
        self._keys.scrub()
        while key_ids:
            with self._transaction():
                named = {"key_ids": key_ids, "batch_rows": self._batch_rows}
                contents = self._database.execute(statement("erase_contents"), named)
                self._record(erasure, contents=contents)
            reached.contents += contents
            if contents < self._batch_rows:
                break

    def _erase_entries(
        self,
        whom: Whom,
        erasure: dict[str, str],
        reached: Reached,
        *,
        pseudonymise: bool,
        progress: Progress,
    ) -> None:
        after: str | None = _FIRST_ID
        while after is not None:
            named = {
                **asdict(whom),
                "after": after,
                "batch_rows": self._batch_rows,
                "pseudonymise": pseudonymise,
                "pseudonym": erasure["pseudonym"],
            }
            with self._transaction():
                (page,) = self._database.rows(statement("erase_entries"), named)
                self._record(erasure, entries=page["entries"], contents=page["contents"])
            reached.entries += page["entries"]
            reached.contents += page["contents"]
            progress(page["entries"])
            after = page["last_id"]

    def _erase_dead_letters(self, whom: Whom, erasure: dict[str, str], reached: Reached) -> None:
        for row, readable in self._dead_letters(whom):
            if readable:
                with self._transaction():
                    deleted = self._database.execute(statement("delete_dead_letter"), row)
                    self._record(erasure, dead_letters=deleted)
            self._note_dead_letter(reached, row, readable=readable)

    def _note_dead_letter(self, reached: Reached, row: dict[str, Any], *, readable: bool) -> None:
        if readable:
            reached.dead_letters += 1
        else:
            reached.dead_letters_named.append((row["topic"], row["partition"], row["offset"]))

    def _dead_letters(self, whom: Whom) -> Iterator[tuple[dict[str, Any], bool]]:
        """Dead letters with the user's name in them, and whether they can be read as this user's entries."""
        place: dict[str, object] = {"topic_id": "", "partition": -1, "offset": -1}
        while True:
            named = {**place, "user_bytes": whom.user_id.encode(), "batch_rows": self._batch_rows}
            with self._transaction():
                rows = self._database.rows(statement("dead_letters_naming"), named)
            for row in rows:
                owner = self._owner(bytes(row["value"]))
                if owner is None or (owner.user_id == whom.user_id and whom.tenant in {None, owner.tenant}):
                    yield row, owner is not None
            if len(rows) < self._batch_rows:
                return
            place = {name: rows[-1][name] for name in place}

    def _owner(self, value: bytes) -> Whom | None:
        try:
            record = self._codec.decode_record(value)
        except UndecodableMessageError:
            return None
        return Whom(record["user_id"], record["tenant"])

    def _refuse_held(self, whom: Whom) -> None:
        holds = self._database.rows(statement("holds_on_user"), asdict(whom))
        if holds:
            named = "; ".join(f"{each['hold_id']} ({each['placed_by']}: {each['reason']})" for each in holds)
            raise LegalHoldError(
                f"something of this user is under a legal hold: {named}",
                "nothing was erased; once it may be: llm-audit hold release HOLD_ID",
            )

    def _record(self, erasure: dict[str, str], **counts: int) -> None:
        named = {"keys": 0, "contents": 0, "entries": 0, "dead_letters": 0, **counts}
        self._database.execute(statement("add_to_erasure"), {**named, "erasure_id": erasure["erasure_id"]})

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        with self._database.transaction():
            self._database.rows(statement("become_retention"))
            yield


def _check(whom: Whom) -> None:
    if not whom.user_id or whom.user_id == UNATTRIBUTED:
        raise ConfigurationError(
            f"{whom.user_id!r} is nobody: entries stand under it for which no user was named",
            "name a user: --user U",
        )
