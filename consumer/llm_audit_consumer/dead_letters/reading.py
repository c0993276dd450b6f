"""Reads dead letters: facts by default, the message itself only where it is asked for by its place."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from llm_audit_consumer.batch import Message, Partition
from llm_audit_consumer.dead_letters.selection import Place, Selection, as_arrays
from llm_audit_consumer.dead_letters.sql import statement
from llm_audit_consumer.errors import DeadLetterMissingError
from llm_audit_consumer.store.postgres import Database

Row = Mapping[str, Any]

LISTED = ("first_seen_at", "reason", "detail", "topic", "partition", "offset", "bytes", "topic_id")
"""Columns of a listed dead letter, in order."""

COUNTED = ("reason", "topic", "messages", "bytes", "first_seen", "last_seen")
"""Columns of the counts, in order."""

_APPLICATION = "llm-audit dead-letters"


@contextmanager
def opened(dsn: str) -> Iterator[Database]:
    """A connection for the time of a ``with``.

    Raises:
        DatabaseUnavailableError: the server does not answer or refuses.
    """
    database = Database(dsn, application_name=_APPLICATION)
    try:
        yield database
    finally:
        database.close()


def listed(database: Database, selection: Selection, limit: int | None) -> Iterator[Row]:
    """Facts of the chosen dead letters, the newest first, fetched as they are asked for."""
    return database.stream(statement("listed"), {**selection.parameters(), "limit": limit})


def counts(database: Database, selection: Selection) -> list[Row]:
    """How many of the chosen there are, by reason and topic."""
    with database.transaction():
        return list(database.rows(statement("counts"), selection.parameters()))


def facts(database: Database, place: Place) -> Row:
    """All that is known of one dead letter without showing what it says.

    Raises:
        DeadLetterMissingError: there is none at that place.
    """
    with database.transaction():
        found = database.rows(statement("facts"), place._asdict())
    if not found:
        raise DeadLetterMissingError(
            f"there is no dead letter at topic id {place.topic_id}, partition {place.partition}, "
            f"offset {place.offset}",
            "see which there are with: llm-audit dead-letters list",
        )
    return found[0]


def value_of(database: Database, place: Place, most: int) -> bytes:
    """Up to ``most`` of a dead letter's original bytes; none for a tombstone. They may hold personal data."""
    with database.transaction():
        found = database.rows(statement("value"), {**place._asdict(), "most": most})
    return bytes(found[0]["value"] or b"") if found else b""


def page(
    database: Database, selection: Selection, after: Place, *, most: int, most_bytes: int
) -> list[Place]:
    """The next chosen places: at most so many, and so many bytes unless the first alone has more."""
    with database.transaction():
        rows = database.rows(statement("page"), {**selection.parameters(), **after._asdict(), "limit": most})
    places: list[Place] = []
    size = 0
    for row in rows:
        size += row["bytes"]
        if places and size > most_bytes:
            break
        places.append(Place(row["topic_id"], row["partition"], row["offset"]))
    return places


def messages(database: Database, places: list[Place]) -> list[Message]:
    """The messages at these places, as they were consumed; those that are gone meanwhile are left out."""
    with database.transaction():
        rows = database.rows(statement("messages"), as_arrays(places))
    return [
        Message(
            Partition(row["topic_id"], row["topic"], row["partition"]),
            row["offset"],
            row["message_timestamp"],
            _bytes(row["key"]),
            _bytes(row["value"]),
            _bytes(row["identity"]),
        )
        for row in rows
    ]


def place_of(message: Message) -> Place:
    """Where a message lay."""
    return Place(message.partition.topic_id, message.partition.number, message.offset)


def _bytes(value: memoryview | None) -> bytes | None:
    return None if value is None else bytes(value)
