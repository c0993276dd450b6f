"""Decodes dead letters again, with the decoder of today, and stores those that have become readable.

A dead letter is deleted in the transaction that stores its entry, so that a crash in between loses and doubles nothing.
An entry that is in the log already, by its request_id, is left alone, and its dead letter goes all the same. What still
cannot become a row stays, with the reason of today.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from llm_audit_consumer.batch import DeadLetter, DecodedBatch, Written
from llm_audit_consumer.batch_writer import UNSTORABLE
from llm_audit_consumer.completeness.ranges import ranges_of
from llm_audit_consumer.dead_letters.reading import messages, page, place_of
from llm_audit_consumer.dead_letters.selection import BEFORE_ALL, Place, Selection, as_arrays
from llm_audit_consumer.dead_letters.sql import statement
from llm_audit_consumer.decoding import DecodedMessage, Decoder
from llm_audit_consumer.errors import AuditConsumerError, UnstorableRowError
from llm_audit_consumer.store import AuditStore
from llm_audit_consumer.store.delivery import storable_detail
from llm_audit_consumer.store.postgres import Database

_PAGE_MESSAGES = 1000
_PAGE_BYTES = 16 * 1024 * 1024


@dataclass(slots=True)
class Replayed:
    """What came of decoding dead letters again.

    Attributes:
        inserted: Entries that are new in the log; in a dry run, those that can be decoded.
        duplicates: Entries that were in the log already.
        remaining: Dead letters that stay, by the reason of today.
    """

    inserted: int = 0
    duplicates: int = 0
    remaining: Counter[str] = field(default_factory=Counter)

    @property
    def examined(self) -> int:
        """How many dead letters were decoded again."""
        return self.inserted + self.duplicates + self.remaining.total()


class _MovedError(AuditConsumerError):
    """Somebody else replayed or purged one of these dead letters meanwhile; the transaction was rolled back."""


class Replay:
    """Decodes dead letters again.

    Args:
        database: Reads them.
        store: Writes the entries. Its login needs the rights of the writer and of retention.
        decoder: The decoder of today.
    """

    def __init__(self, database: Database, store: AuditStore, decoder: Decoder) -> None:
        self._database = database
        self._store = store
        self._decoder = decoder

    def run(
        self, selection: Selection, *, dry_run: bool, progress: Callable[[int], None] = lambda _examined: None
    ) -> Replayed:
        """Decode the chosen dead letters again, a bounded page at a time; what was done before an error stays done.

        Args:
            selection: Which.
            dry_run: Decode only, and change nothing. PostgreSQL may refuse values that decode well.
            progress: Told how many were examined so far.

        Raises:
            DatabaseUnavailableError: the database went away; running it again goes on where it stopped.
        """
        total = Replayed()
        after = BEFORE_ALL
        while places := page(self._database, selection, after, most=_PAGE_MESSAGES, most_bytes=_PAGE_BYTES):
            if dry_run:
                _count_decoded(self._decoded(places), total)
            else:
                self._settle(self._decoded(places), total)
            after = places[-1]
            progress(total.examined)
        return total

    def _decoded(self, places: list[Place]) -> list[DecodedMessage]:
        return self._decoder.decode(messages(self._database, places))

    def _settle(self, decoded: Sequence[DecodedMessage], total: Replayed) -> None:
        if not decoded:
            return
        rows = [each.outcome for each in decoded if not isinstance(each.outcome, DeadLetter)]
        dead = [each.outcome for each in decoded if isinstance(each.outcome, DeadLetter)]
        readable = [place_of(each.message) for each in decoded if not isinstance(each.outcome, DeadLetter)]
        batch = DecodedBatch(
            rows=rows,
            dead_letters=(),
            advances=(),
            received=ranges_of((row["producer_id"], row["sequence"]) for row in rows),
        )
        try:
            written = self._store.write_alongside(batch, lambda database: _settle(database, readable, dead))
        except UnstorableRowError as error:
            self._settle_split(decoded, error, total)
        except _MovedError:
            # Fewer of them are left now.
            self._settle(self._decoded([place_of(each.message) for each in decoded]), total)
        else:
            _add(total, written, dead)

    def _settle_split(
        self, decoded: Sequence[DecodedMessage], error: UnstorableRowError, total: Replayed
    ) -> None:
        """Halve what PostgreSQL refuses until the value that it refuses is alone."""
        if len(decoded) == 1:
            (refused,) = decoded
            if isinstance(refused.outcome, DeadLetter):
                raise error  # the reason itself: splitting further would never end
            letter = DeadLetter(refused.message, UNSTORABLE, str(error))
            self._settle([DecodedMessage(refused.message, letter)], total)
            return
        middle = len(decoded) // 2
        self._settle(decoded[:middle], total)
        self._settle(decoded[middle:], total)


def _settle(database: Database, readable: list[Place], dead: Sequence[DeadLetter]) -> None:
    database.execute(statement("lock"))
    if readable and database.execute(statement("settled"), as_arrays(readable)) != len(readable):
        raise _MovedError("dead letters were replayed or purged by somebody else")
    if dead:
        database.execute_many(
            statement("still_dead"),
            [
                {
                    **place_of(each.message)._asdict(),
                    "reason": each.reason,
                    "detail": storable_detail(each.detail),
                }
                for each in dead
            ],
        )


def _count_decoded(decoded: Sequence[DecodedMessage], total: Replayed) -> None:
    dead = [each.outcome for each in decoded if isinstance(each.outcome, DeadLetter)]
    _add(total, Written(len(decoded) - len(dead), 0), dead)


def _add(total: Replayed, written: Written, dead: Sequence[DeadLetter]) -> None:
    total.inserted += written.inserted
    total.duplicates += written.duplicates
    total.remaining.update(each.reason for each in dead)
