"""Settings: an error names the setting or variable, the value and the mend, and shows no secret."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from llm_audit_producer import AuditLogger, AuditSettingsError, MemorySink
from llm_audit_producer.settings import ProducerSettings
from llm_audit_schemas import HashKey
from llm_audit_schemas.kafka_connection import KafkaConnection

SECRET = "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="


@pytest.mark.parametrize(
    ("variable", "value", "mend"),
    [
        ("LLM_AUDIT_ENABLED", "perhaps", "use 1 or 0"),
        ("LLM_AUDIT_REQUIRE_USER", "2", "use 1 or 0"),
        ("LLM_AUDIT_QUEUE_ENTRIES", "many", "use a whole number above 0"),
        ("LLM_AUDIT_QUEUE_ENTRIES", "9" * 5000, "use a whole number above 0"),
        ("LLM_AUDIT_QUEUE_BYTES", "0", "use a whole number above 0"),
        ("LLM_AUDIT_METADATA_BYTES", "-5", "use a whole number above 0"),
        ("LLM_AUDIT_DRAIN_SECONDS", "soon", "use a number of seconds"),
        ("LLM_AUDIT_DRAIN_SECONDS", "nan", "use a number of seconds"),
        ("LLM_AUDIT_KAFKA_SECURITY_PROTOCOL", "TLS", "use one of PLAINTEXT"),
        ("LLM_AUDIT_HASH_KEY_FILE", "/no/such/file", "cannot be read"),
    ],
)
def test_an_unusable_variable_is_named_with_its_value_and_the_mend(
    variable: str, value: str, mend: str
) -> None:
    with pytest.raises(AuditSettingsError) as caught:
        ProducerSettings.from_environment({variable: value})
    assert variable in str(caught.value)
    assert value in str(caught.value)
    assert mend in str(caught.value)


@pytest.mark.parametrize("value", [SECRET, f"name:{SECRET[:20]}", "name:not*base64", "na me:" + SECRET])
def test_a_hash_key_that_cannot_be_used_is_never_shown(value: str) -> None:
    with pytest.raises(AuditSettingsError) as caught:
        ProducerSettings.from_environment({"LLM_AUDIT_HASH_KEY": value})
    assert value.rpartition(":")[2] not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("enabled", "false"),
        ("require_user", 1),
        ("service", 5),
        ("queue_entries", "10"),
        ("queue_entries", True),
        ("queue_bytes", 0),
        ("metadata_bytes", 1.5),
        ("drain_seconds", float("nan")),
        ("drain_seconds", None),
        ("retention_class", ""),
        ("topic", None),
        ("price_overrides", 5),
        ("kafka", "host:9092"),
        ("hash_key", b"bytes"),
        ("no_such_setting", 1),
    ],
)
def test_an_unusable_argument_is_named_when_the_logger_is_made(name: str, value: Any) -> None:
    with pytest.raises(AuditSettingsError, match=name):
        AuditLogger(MemorySink(), **{name: value})


def test_arguments_are_laid_over_the_environment(tmp_path: Path) -> None:
    (tmp_path / "key").write_text(f"filed:{SECRET}\n")
    environment = {
        "LLM_AUDIT_SERVICE": "from-environment",
        "LLM_AUDIT_ENVIRONMENT": "production",
        "LLM_AUDIT_QUEUE_ENTRIES": "7",
        "LLM_AUDIT_ENABLED": "off",
        "LLM_AUDIT_DRAIN_SECONDS": "0.5",
        "LLM_AUDIT_KAFKA_BOOTSTRAP": "broker:1",
        "LLM_AUDIT_HASH_KEY_FILE": str(tmp_path / "key"),
        "LLM_AUDIT_TOPIC": "",
    }
    settings = ProducerSettings.from_environment(environment, service="mine", enabled=True)
    assert (settings.service, settings.environment, settings.queue_entries) == ("mine", "production", 7)
    assert (settings.enabled, settings.drain_seconds, settings.topic) == (True, 0.5, "llm-audit-entries")
    assert settings.kafka == KafkaConnection(bootstrap_servers="broker:1")
    assert settings.hash_key is not None
    assert settings.hash_key.key_id == "filed"
    given = ProducerSettings.from_environment(environment, hash_key=f"given:{SECRET}")
    assert isinstance(given.hash_key, HashKey)
    assert given.hash_key.key_id == "given"


def test_the_environments_mistake_does_not_matter_where_an_argument_says_otherwise() -> None:
    settings = ProducerSettings.from_environment({"LLM_AUDIT_QUEUE_ENTRIES": "many"}, queue_entries=5)
    assert settings.queue_entries == 5


def test_settings_show_no_secret() -> None:
    settings = ProducerSettings.from_environment(
        {
            "LLM_AUDIT_HASH_KEY": f"name:{SECRET}",
            "LLM_AUDIT_SCHEMA_REGISTRY": "http://user:hunter2@registry",
            "LLM_AUDIT_KAFKA_SECURITY_PROTOCOL": "SASL_SSL",
            "LLM_AUDIT_KAFKA_SASL_MECHANISM": "PLAIN",
            "LLM_AUDIT_KAFKA_SASL_USERNAME": "me",
            "LLM_AUDIT_KAFKA_SASL_PASSWORD": "hunter2",
            "LLM_AUDIT_KAFKA_SSL_KEY_PASSWORD": "hunter2",
        }
    )
    for secret in (SECRET, "0123456789abcdef", "hunter2"):
        assert secret not in repr(settings)
