"""Real brokers whose clients' door is closed: one by user and password over TLS, one by client certificates."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from confluent_kafka.admin import AdminClient
from confluent_kafka.admin._scram import ScramCredentialInfo, ScramMechanism, UserScramCredentialUpsertion

from llm_audit_consumer.embedded import EmbeddedKafka
from tests.security.certificates import Authority

USER = "audit"
PASSWORD = "broker s3cret/p@ss"
_SCRAM = "org.apache.kafka.common.security.scram.ScramLoginModule required;"


@dataclass(frozen=True)
class SecureBroker:
    """A broker, the plaintext door for the test's own use, and the variables of a client that may enter."""

    bootstrap: str
    internal: str
    variables: dict[str, str]

    def but(self, **changes: str | Path | None) -> dict[str, str]:
        """The variables with changes; ``None`` leaves one out."""
        given = {f"LLM_AUDIT_KAFKA_{name.upper()}": value for name, value in changes.items()}
        merged: dict[str, str | Path | None] = {**self.variables, **given}
        return {name: str(value) for name, value in merged.items() if value is not None}


@contextmanager
def scram_broker(folder: Path, authority: Authority) -> Iterator[SecureBroker]:
    with EmbeddedKafka(
        client_protocol="SASL_SSL",
        extra_properties={
            **_tls(folder, authority),
            "sasl.enabled.mechanisms": "SCRAM-SHA-512",
            "listener.name.client.scram-sha-512.sasl.jaas.config": _SCRAM,
        },
    ) as kafka:
        admin = AdminClient({"bootstrap.servers": kafka.internal_servers})
        credentials = ScramCredentialInfo(ScramMechanism.SCRAM_SHA_512, 4096)
        user = UserScramCredentialUpsertion(USER, credentials, PASSWORD.encode())
        for future in admin.alter_user_scram_credentials([user]).values():
            future.result(30)
        yield _broker(
            kafka,
            security_protocol="SASL_SSL",
            ssl_ca=str(authority.file),
            sasl_mechanism="SCRAM-SHA-512",
            sasl_username=USER,
            sasl_password=PASSWORD,
        )


@contextmanager
def mutual_broker(folder: Path, authority: Authority) -> Iterator[SecureBroker]:
    client = authority.sign("client", passphrase=PASSWORD)
    with EmbeddedKafka(
        client_protocol="SSL", extra_properties={**_tls(folder, authority), "ssl.client.auth": "required"}
    ) as kafka:
        yield _broker(
            kafka,
            security_protocol="SSL",
            ssl_ca=str(authority.file),
            ssl_certificate=str(client.certificate),
            ssl_key=str(client.key),
            ssl_key_password=PASSWORD,
        )


def _tls(folder: Path, authority: Authority) -> dict[str, str]:
    server = authority.sign(f"server-{folder.name}", addresses=("127.0.0.1",))
    return {
        "ssl.keystore.type": "PEM",
        "ssl.keystore.location": str(server.both),
        "ssl.truststore.type": "PEM",
        "ssl.truststore.location": str(authority.file),
    }


def _broker(kafka: EmbeddedKafka, **settings: str) -> SecureBroker:
    variables = {f"LLM_AUDIT_KAFKA_{name.upper()}": value for name, value in settings.items()}
    bootstrap = kafka.bootstrap_servers
    return SecureBroker(
        bootstrap, kafka.internal_servers, {"LLM_AUDIT_KAFKA_BOOTSTRAP": bootstrap, **variables}
    )
