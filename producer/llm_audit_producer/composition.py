"""Puts a producer together from its settings: the price source, the entry builder, the sink."""

from __future__ import annotations

import logging
import os
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from llm_audit_producer.call import Call, Tokens
from llm_audit_producer.content.modes import effective_mode
from llm_audit_producer.entry_builder import EntryBuilder
from llm_audit_producer.life_marks import ProducerFacts
from llm_audit_producer.pricing import Priced, PriceSource, billed_model, price_source, usage_of
from llm_audit_producer.settings import ProducerSettings
from llm_audit_producer.sinks import AuditSink

if TYPE_CHECKING:
    from llm_audit_producer.content.sink import ContentSink

logger = logging.getLogger("llm_audit_producer")


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


def content_sink(settings: ProducerSettings, storage: AuditSink | None) -> ContentSink | None:
    """Where encrypted content goes; ``None`` where this producer keeps none. Why it keeps less than asked is logged."""
    mode, why_less = _content_mode(settings, to_kafka=storage is None)
    if why_less is not None and settings.enabled:
        logger.error(
            "llm-audit: content_mode is %r, but is taken as %r: %s", settings.content_mode, mode, why_less
        )
    if mode != "encrypted" or settings.content_public_key is None:
        return None
    from llm_audit_producer.content.sealing import Sealer
    from llm_audit_producer.content.sink import ContentSink

    return ContentSink(
        settings.kafka,
        settings.content_topic,
        Sealer(settings.content_public_key, settings.content_bytes),
        queue_bytes=settings.queue_bytes,
        drain_seconds=settings.drain_seconds,
    )


def _content_mode(settings: ProducerSettings, *, to_kafka: bool) -> tuple[str, str | None]:
    return effective_mode(
        settings.content_mode,
        has_hash_key=settings.hash_key is not None,
        retention_class=settings.retention_class,
        has_content_topic=to_kafka,
    )


def entry_builder(settings: ProducerSettings, content: ContentSink | None = None) -> EntryBuilder:
    """The entry builder that the settings describe; ``content`` takes what is kept encrypted."""
    mode, _ = _content_mode(settings, to_kafka=content is not None)
    return EntryBuilder(
        price=partial(_price, price_source(settings.price_overrides)),
        service=settings.service,
        environment=settings.environment,
        retention_class=settings.retention_class,
        hash_key=settings.hash_key,
        metadata_bytes=settings.metadata_bytes,
        content_mode=mode,
        content_bytes=settings.content_bytes,
        keep_content=None if content is None else content.seal_and_publish,
    )


def load_prices(builder: EntryBuilder) -> None:
    """Have the builder's price source loaded, which takes a fifth of a second the first time."""
    tokens = Tokens(input_tokens=1, output_tokens=1)
    builder.price(
        Call(
            request_id="",
            started_at=datetime.now(UTC),
            provider="anthropic",
            action="messages.create",
            status="success",
            model="claude-sonnet-4-6",
            usage=tokens,
        )
    )


def _price(source: PriceSource, call: Call) -> Priced:
    usage = usage_of(call.usage, call.raw_usage, complete=call.status == "success")
    model = billed_model(call.provider, call.requested_model, call.model)
    return source.price(call.provider, model, call.started_at, usage, region=call.region)
