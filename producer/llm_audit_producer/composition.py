"""Puts a producer together from its settings: the price source, the entry builder, the sink."""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path

from llm_audit_producer.call import Call
from llm_audit_producer.entry_builder import EntryBuilder
from llm_audit_producer.life_marks import ProducerFacts
from llm_audit_producer.pricing import Priced, PriceSource, billed_model, price_source, usage_of
from llm_audit_producer.settings import ProducerSettings
from llm_audit_producer.sinks import AuditSink


def sink_for(settings: ProducerSettings, storage: AuditSink | None) -> AuditSink:
    """Where entries go: ``storage``, or the Kafka sink that the settings describe, behind a spool where asked."""
    sink = storage if storage is not None else _kafka_sink(settings)
    directory = settings.spool_directory
    if settings.durability == "memory" or (settings.durability == "strict" and directory is None):
        return sink
    from llm_audit_producer.spool import SpoolDirectory, SpoolingSink

    path = Path(directory) if directory is not None else _state_directory() / "llm-audit" / "spool"
    return SpoolingSink(
        sink,
        SpoolDirectory(path, maximum_bytes=settings.spool_bytes, fsync=settings.spool_fsync),
        producer_facts(settings),
    )


def producer_facts(settings: ProducerSettings) -> ProducerFacts:
    """What the producer's markers say of it."""
    return ProducerFacts(
        delivery_mode=settings.durability,
        service=settings.service,
        environment=settings.environment,
        heartbeat_seconds=settings.heartbeat_seconds,
    )


def _kafka_sink(settings: ProducerSettings) -> AuditSink:
    from llm_audit_producer.sinks.kafka import KafkaSink

    if settings.schema_registry is None:
        return KafkaSink(
            settings.kafka,
            settings.topic,
            markers_topic=settings.markers_topic,
            queue_bytes=settings.queue_bytes,
        )
    from llm_audit_producer.sinks.registry import registered_codec, registered_marker_codec

    return KafkaSink(
        settings.kafka,
        settings.topic,
        codec=partial(registered_codec, settings.schema_registry, settings.topic),
        markers_topic=settings.markers_topic,
        marker_codec=partial(registered_marker_codec, settings.schema_registry, settings.markers_topic),
        queue_bytes=settings.queue_bytes,
    )


def _state_directory() -> Path:
    """The XDG state directory: https://specifications.freedesktop.org/basedir-spec/latest/."""
    return Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state")


def entry_builder(settings: ProducerSettings) -> EntryBuilder:
    """The entry builder that the settings describe."""
    return EntryBuilder(
        price=partial(_price, price_source(settings.price_overrides)),
        service=settings.service,
        environment=settings.environment,
        retention_class=settings.retention_class,
        hash_key=settings.hash_key,
        metadata_bytes=settings.metadata_bytes,
    )


def _price(source: PriceSource, call: Call) -> Priced:
    usage = usage_of(call.usage, call.raw_usage, complete=call.status == "success")
    model = billed_model(call.provider, call.requested_model, call.model)
    return source.price(call.provider, model, call.started_at, usage, region=call.region)
