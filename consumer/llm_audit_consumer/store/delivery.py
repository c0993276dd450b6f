"""What goes with the rows of a batch in its transaction: dead letters, sequences that arrived, offsets."""

from __future__ import annotations

from collections.abc import Sequence

from llm_audit_consumer.batch import DeadLetter, OffsetAdvance
from llm_audit_consumer.completeness.ranges import SequenceRange
from llm_audit_consumer.errors import OffsetConflictError
from llm_audit_consumer.store.postgres import Database, Parameters
from llm_audit_consumer.store.sql import statement

_DETAIL_LIMIT = 2000


def note_received(database: Database, received: Sequence[SequenceRange]) -> None:
    """Add to what has arrived of each producer; late in the transaction, so that nobody waits long for a row."""
    if received:
        database.execute(
            statement("note_received"),
            {
                "producer_ids": [str(each.producer_id) for each in received],
                "firsts": [each.first for each in received],
                "lasts": [each.last for each in received],
            },
        )


def insert_dead_letters(database: Database, group: str, dead_letters: Sequence[DeadLetter]) -> None:
    """Keep what cannot become rows; what is there already stays as it is."""
    if dead_letters:
        database.execute_many(
            statement("insert_dead_letter"), [_dead_letter_row(group, letter) for letter in dead_letters]
        )


def storable_detail(detail: str) -> str:
    """A dead letter's detail, bounded and without what PostgreSQL's text refuses."""
    return detail[:_DETAIL_LIMIT].replace("\x00", "\N{SYMBOL FOR NULL}")


def _dead_letter_row(group: str, letter: DeadLetter) -> Parameters:
    message = letter.message
    return {
        "topic_id": message.partition.topic_id,
        "partition": message.partition.number,
        "offset": message.offset,
        "topic": message.partition.topic,
        "consumer_group": group,
        "reason": letter.reason,
        "detail": storable_detail(letter.detail),
        "message_timestamp": message.timestamp,
        "key": message.key,
        "value": message.value,
        "identity": message.identity,
    }


def advance_offset(database: Database, group: str, advance: OffsetAdvance) -> None:
    """Move a partition's next offset on, from where this consumer believes it to stand.

    Raises:
        OffsetConflictError: it stands elsewhere; another consumer has moved it.
    """
    parameters: dict[str, object] = {
        "consumer_group": group,
        "topic_id": advance.partition.topic_id,
        "partition": advance.partition.number,
        "topic": advance.partition.topic,
        "next_offset": advance.next_offset,
        "expected": advance.expected,
    }
    name = "first_offset" if advance.expected is None else "advance_offset"
    if database.execute(statement(name), parameters) != 1:
        stored = {
            row["partition"]: row["next_offset"]
            for row in database.rows(statement("next_offsets"), parameters)
        }
        raise OffsetConflictError(
            f"partition {advance.partition.number} of {advance.partition.topic} stands at offset "
            f"{stored.get(advance.partition.number)}, expected {advance.expected}: "
            "another consumer of the group has advanced it",
            "this batch was rolled back; the partition is read again from where it stands",
        )
