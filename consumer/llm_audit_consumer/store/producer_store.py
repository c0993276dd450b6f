"""What is known of producers: their markers in, their lives out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from llm_audit_consumer.batch import Partition
from llm_audit_consumer.store.postgres import Database, Parameters
from llm_audit_consumer.store.sql import statement
from llm_audit_schemas import ProducerMarker

MarkedAt = tuple[ProducerMarker, datetime]
"""A marker, and when the broker got it: one clock for all producers."""


def note_markers(database: Database, markers: Sequence[MarkedAt]) -> None:
    """Take markers in; within the caller's transaction, ordered so that nobody waits in a circle."""
    ordered = sorted(markers, key=lambda marked: marked[0].producer_id)
    database.execute_many(statement("note_marker"), [_parameters(*marked) for marked in ordered])


def note_progress(database: Database, group: str, read_through: Mapping[Partition, datetime]) -> None:
    """Keep up to which moment partitions have been read; within the caller's transaction."""
    database.execute_many(
        statement("note_progress"),
        [
            {
                "consumer_group": group,
                "topic_id": partition.topic_id,
                "partition": partition.number,
                "topic": partition.topic,
                "read_through": moment,
            }
            for partition, moment in sorted(read_through.items())
        ],
    )


def progress(database: Database, group: str) -> dict[str, datetime]:
    """Topic to the moment up to which all of it has been read."""
    return {
        row["topic"]: row["read_through"]
        for row in database.rows(statement("progress"), {"consumer_group": group})
    }


def producers(
    database: Database, *, everyone: bool, since: datetime | None, producer_id: str | None
) -> Iterator[Mapping[str, Any]]:
    """Rows of producers, the latest first; of any number. Those that are complete only with ``everyone``."""
    return database.stream(
        statement("producers"), {"everyone": everyone, "since": since, "producer_id": producer_id}
    )


def count_complete(database: Database, *, since: datetime | None, producer_id: str | None) -> tuple[int, int]:
    """How many producers are complete, and how many entries they made."""
    (row,) = database.rows(statement("count_complete"), {"since": since, "producer_id": producer_id})
    return row["complete"], row["entries"]


def _parameters(marker: ProducerMarker, at: datetime) -> Parameters:
    details = marker.details or {}
    return {
        "producer_id": marker.producer_id,
        "predecessor": marker.predecessor,
        "started_at": at if marker.kind == "started" else None,
        "heartbeat_at": at,
        "ended_at": at if marker.kind == "ended" else None,
        "last_sequence": marker.last_sequence,
        "dropped": marker.dropped,
        "process_id": marker.process_id,
        "unclean": details.get("unclean") is True,
        "delivery_mode": marker.delivery_mode,
        "service": marker.service,
        "environment": marker.environment,
        "host": marker.host,
        "library_version": marker.library_version,
    }
