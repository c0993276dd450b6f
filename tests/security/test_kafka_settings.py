"""Settings that would leave the trail unprotected are refused before anything is sent."""

from __future__ import annotations

from pathlib import Path

import pytest

from llm_audit_schemas.errors import ContractError
from llm_audit_schemas.kafka_connection import KafkaConnection

LOGIN = {"sasl_mechanism": "SCRAM-SHA-512", "sasl_username": "audit", "sasl_password": "s3cret"}


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"ssl_ca": "ca.pem"}, "LLM_AUDIT_KAFKA_SSL_CA"),
        (LOGIN, "LLM_AUDIT_KAFKA_SASL_MECHANISM"),
        ({**LOGIN, "security_protocol": "SSL"}, "LLM_AUDIT_KAFKA_SASL_MECHANISM"),
        ({**LOGIN, "security_protocol": "SASL_PLAINTEXT", "ssl_ca": "ca.pem"}, "LLM_AUDIT_KAFKA_SSL_CA"),
        ({**LOGIN, "security_protocol": "SASL_SSL", "sasl_password": None}, "LLM_AUDIT_KAFKA_SASL_PASSWORD"),
        ({"security_protocol": "SSL", "ssl_key": "key.pem"}, "LLM_AUDIT_KAFKA_SSL_CERTIFICATE"),
        ({"security_protocol": "TLS"}, "LLM_AUDIT_KAFKA_SECURITY_PROTOCOL"),
    ],
)
def test_a_setting_that_would_not_be_used_or_is_missing_is_refused(
    settings: dict[str, str], named: str
) -> None:
    with pytest.raises(ContractError) as caught:
        KafkaConnection(**settings)
    assert named in str(caught.value)
    assert "s3cret" not in str(caught.value)


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(ContractError, match=r"LLM_AUDIT_KAFKA_SSL_CA names .*missing\.pem.*No such file"):
        KafkaConnection(security_protocol="SSL", ssl_ca=str(tmp_path / "missing.pem"))


def test_secrets_are_not_shown() -> None:
    connection = KafkaConnection(security_protocol="SASL_SSL", **LOGIN)
    assert "s3cret" not in repr(connection)
    assert connection.client_config()["sasl.password"] == "s3cret"
