"""The topics of the trail: their names and what each must be like."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

ENTRIES = "llm-audit-entries"
MARKERS = "llm-audit-markers"
CONTENT = "llm-audit-content"


@dataclass(frozen=True, slots=True)
class TopicSpec:
    """What a topic must be like for the trail's promises to hold.

    Attributes:
        name: The topic's name.
        partitions: Partitions at creation; the unit of consumer parallelism.
        replication: Copies of each partition. Three survive the loss of a broker.
        min_in_sync: Copies that must have a record before ``acks=all`` reports it delivered.
        retention: How long the broker keeps a record; the time a consumer may be away.
        max_message_bytes: Largest record batch the broker takes.
    """

    name: str
    partitions: int = 6
    replication: int = 3
    min_in_sync: int = 2
    retention: timedelta = timedelta(days=14)
    max_message_bytes: int = 1_048_588

    def broker_config(self) -> dict[str, str]:
        """The topic's configuration as Kafka names it.

        ``LogAppendTime`` makes retention count from arrival: an entry that spent days in a spool would
        otherwise arrive already expired.
        """
        return {
            "cleanup.policy": "delete",
            "message.timestamp.type": "LogAppendTime",
            "min.insync.replicas": str(self.min_in_sync),
            "retention.ms": str(self.retention // timedelta(milliseconds=1)),
            "retention.bytes": "-1",
            "max.message.bytes": str(self.max_message_bytes),
            "unclean.leader.election.enable": "false",
        }
