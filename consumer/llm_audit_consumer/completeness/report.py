"""The judgement of every producer in the database, and what it comes to in all."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from llm_audit_consumer.completeness.judgement import Judged, ProducerLife, Reading, Verdict, count, judge
from llm_audit_consumer.completeness.ranges import gaps, parsed
from llm_audit_consumer.store.postgres import Database
from llm_audit_consumer.store.producer_store import count_complete, producers, progress


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What is asked.

    Attributes:
        group: The consumer group whose reading counts.
        entries_topic: Topic of the entries.
        markers_topic: Topic of the markers.
        since: Only producers heard of since then.
        producer_id: Only this one.
        everyone: Also those that are complete.
        grace: How much later than a claim an entry may arrive.
        silence: How long a living producer may go without a sign.
    """

    group: str
    entries_topic: str
    markers_topic: str
    since: datetime | None = None
    producer_id: str | None = None
    everyone: bool = False
    grace: timedelta = timedelta(seconds=60)
    silence: timedelta = timedelta(seconds=120)


@dataclass(frozen=True, slots=True)
class JudgedProducer:
    """A producer's row and its judgement."""

    row: Mapping[str, Any]
    judged: Judged


@dataclass(slots=True)
class Summary:
    """What it all comes to.

    Attributes:
        reading: How far the consumer had come.
        producers: Verdict to number of producers.
        missing: Entries that are lost.
        late: Entries that may still come.
        explained: Of the missing, as many as their producers say they lost, or as lie in the dead letters.
    """

    reading: Reading
    producers: dict[Verdict, int] = field(default_factory=lambda: dict.fromkeys(Verdict, 0))
    missing: int = 0
    late: int = 0
    explained: int = 0

    @property
    def known(self) -> bool:
        """Whether it is known how far the consumer has read."""
        return self.reading.entries_through is not None and self.reading.markers_through is not None

    @property
    def complete(self) -> bool:
        """Whether everything that was made is known to be there; never while it is not known how far reading came."""
        doubtful = self.producers[Verdict.MISSING] + self.producers[Verdict.UNKNOWN_TAIL] + self.late
        return self.known and doubtful == 0

    def add(self, one: JudgedProducer) -> None:
        """Count a producer."""
        judged = one.judged
        self.producers[judged.verdict] += 1
        self.missing += judged.missing_count
        self.late += count(judged.late)
        self.explained += min(judged.missing_count, one.row["dropped"] + one.row["dead_letters"])


def examine(database: Database, question: Question) -> tuple[Summary, Iterator[JudgedProducer]]:
    """The summary, which fills while the producers are read, and the producers.

    Producers that are complete are only counted, unless everyone is asked for.
    """
    with database.transaction():
        through = progress(database, question.group)
        complete, _entries = count_complete(database, since=question.since, producer_id=question.producer_id)
    summary = Summary(
        Reading(
            entries_through=through.get(question.entries_topic),
            markers_through=through.get(question.markers_topic),
            grace=question.grace,
            silence=question.silence,
        )
    )
    if not question.everyone:
        summary.producers[Verdict.COMPLETE] = complete
    return summary, _judged(database, question, summary)


def _judged(database: Database, question: Question, summary: Summary) -> Iterator[JudgedProducer]:
    rows = producers(
        database, everyone=question.everyone, since=question.since, producer_id=question.producer_id
    )
    for row in rows:
        one = JudgedProducer(row, _judge(row, summary.reading))
        summary.add(one)
        yield one


def _judge(row: Mapping[str, Any], reading: Reading) -> Judged:
    arrived = parsed(row["received"])
    signs = [row["last_seen_at"], row["heartbeat_at"]]
    life = ProducerLife(
        arrived=arrived,
        last_sequence=row["last_sequence"],
        claimed_at=row["claimed_at"],
        ended=row["ended_at"] is not None,
        last_sign_at=max(sign for sign in signs if sign is not None),
    )
    return judge(life, reading, gaps(arrived))
