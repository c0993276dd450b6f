"""Puts a producer together from its settings: the price source, the entry builder, the default sink."""

from __future__ import annotations

from functools import partial

from llm_audit_producer.call import Call
from llm_audit_producer.entry_builder import EntryBuilder
from llm_audit_producer.pricing import Priced, PriceSource, billed_model, price_source, usage_of
from llm_audit_producer.settings import ProducerSettings
from llm_audit_producer.sinks import AuditSink


def default_sink(settings: ProducerSettings) -> AuditSink:
    """The Kafka sink that the settings describe."""
    from llm_audit_producer.sinks.kafka import KafkaSink

    if settings.schema_registry is None:
        return KafkaSink(settings.kafka, settings.topic, queue_bytes=settings.queue_bytes)
    from llm_audit_producer.sinks.registry import registered_codec

    return KafkaSink(
        settings.kafka,
        settings.topic,
        codec=partial(registered_codec, settings.schema_registry, settings.topic),
        queue_bytes=settings.queue_bytes,
    )


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
