"""How to reach Kafka, said once for the producer and the consumer, in librdkafka's terms."""

from __future__ import annotations

import errno
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from llm_audit_schemas.errors import ContractError

DEFAULT_BOOTSTRAP = "127.0.0.1:9092"

_PROTOCOLS = ("PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL")
_BY_PASSWORD = ("PLAIN", "SCRAM")


@dataclass(frozen=True, slots=True, kw_only=True)
class KafkaConnection:
    """Addresses and security of a Kafka cluster. Secrets are never printed.

    Attributes:
        bootstrap_servers: ``host:port``, several separated by commas.
        security_protocol: ``PLAINTEXT``, ``SSL``, ``SASL_PLAINTEXT`` or ``SASL_SSL``.
        sasl_mechanism: Such as ``SCRAM-SHA-512``; needed with a SASL protocol.
        sasl_username: User name for SASL.
        sasl_password: Its password.
        ssl_ca: File of the certificate authorities to trust; the system's when not given.
        ssl_certificate: File of the client's own certificate, for mutual TLS.
        ssl_key: File of its private key.
        ssl_key_password: Passphrase of that key.

    Raises:
        ContractError: the protocol is unknown, SASL is asked for without its parts, or TLS or a login is described
            that the protocol would not use, or one of the files cannot be read. Nothing is ever sent in the clear
            because one variable was forgotten.
    """

    bootstrap_servers: str = DEFAULT_BOOTSTRAP
    security_protocol: str = "PLAINTEXT"
    sasl_mechanism: str | None = None
    sasl_username: str | None = None
    sasl_password: str | None = field(default=None, repr=False)
    ssl_ca: str | None = None
    ssl_certificate: str | None = None
    ssl_key: str | None = None
    ssl_key_password: str | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        if self.security_protocol not in _PROTOCOLS:
            raise ContractError(
                f"LLM_AUDIT_KAFKA_SECURITY_PROTOCOL is {self.security_protocol!r}; use one of {', '.join(_PROTOCOLS)}"
            )
        if self._signs_in and not (self.sasl_mechanism and self.sasl_username):
            raise ContractError(
                f"{self.security_protocol} needs LLM_AUDIT_KAFKA_SASL_MECHANISM, "
                "LLM_AUDIT_KAFKA_SASL_USERNAME and LLM_AUDIT_KAFKA_SASL_PASSWORD"
            )
        if self._signs_in and not self.sasl_password and str(self.sasl_mechanism).startswith(_BY_PASSWORD):
            raise ContractError(
                f"{self.security_protocol} needs LLM_AUDIT_KAFKA_SASL_PASSWORD, which is not set"
            )
        if bool(self.ssl_certificate) != bool(self.ssl_key):
            raise ContractError(
                "LLM_AUDIT_KAFKA_SSL_CERTIFICATE and LLM_AUDIT_KAFKA_SSL_KEY go together: "
                "one is set and the other is not"
            )
        self._refuse_unused()
        for name in ("ssl_ca", "ssl_certificate", "ssl_key"):
            file = getattr(self, name)
            if file is not None and file != "probe":  # librdkafka's word for looking in the usual places
                _check_readable(VARIABLES[name], file)

    @property
    def _encrypts(self) -> bool:
        return self.security_protocol.endswith("SSL")

    @property
    def _signs_in(self) -> bool:
        return self.security_protocol.startswith("SASL")

    def _refuse_unused(self) -> None:
        for prefix, used, protocols in (
            ("ssl_", self._encrypts, "SSL or SASL_SSL"),
            ("sasl_", self._signs_in, "SASL_SSL"),
        ):
            for name, variable in VARIABLES.items():
                if name.startswith(prefix) and getattr(self, name) and not used:
                    raise ContractError(
                        f"{variable} is set, and LLM_AUDIT_KAFKA_SECURITY_PROTOCOL {self.security_protocol} would not "
                        f"use it: set the protocol to {protocols}, or take {variable} away"
                    )

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> KafkaConnection:
        """The connection that ``LLM_AUDIT_KAFKA_*`` variables describe; empty ones count as not set.

        Raises:
            ContractError: as for the constructor.
        """
        given = {name: value for name, variable in VARIABLES.items() if (value := environment.get(variable))}
        return cls(**given)

    def client_config(self) -> dict[str, str]:
        """The librdkafka properties, secrets included: hand them to the client and nowhere else."""
        properties = {
            "bootstrap.servers": self.bootstrap_servers,
            "security.protocol": self.security_protocol,
            "sasl.mechanism": self.sasl_mechanism,
            "sasl.username": self.sasl_username,
            "sasl.password": self.sasl_password,
            "ssl.ca.location": self.ssl_ca,
            "ssl.certificate.location": self.ssl_certificate,
            "ssl.key.location": self.ssl_key,
            "ssl.key.password": self.ssl_key_password,
        }
        return {name: value for name, value in properties.items() if value is not None}


VARIABLES: Mapping[str, str] = {
    "bootstrap_servers": "LLM_AUDIT_KAFKA_BOOTSTRAP",
    "security_protocol": "LLM_AUDIT_KAFKA_SECURITY_PROTOCOL",
    "sasl_mechanism": "LLM_AUDIT_KAFKA_SASL_MECHANISM",
    "sasl_username": "LLM_AUDIT_KAFKA_SASL_USERNAME",
    "sasl_password": "LLM_AUDIT_KAFKA_SASL_PASSWORD",
    "ssl_ca": "LLM_AUDIT_KAFKA_SSL_CA",
    "ssl_certificate": "LLM_AUDIT_KAFKA_SSL_CERTIFICATE",
    "ssl_key": "LLM_AUDIT_KAFKA_SSL_KEY",
    "ssl_key_password": "LLM_AUDIT_KAFKA_SSL_KEY_PASSWORD",
}
"""Environment variable of each attribute of :class:`KafkaConnection`."""


def _check_readable(variable: str, file: str) -> None:
    # librdkafka itself says no more than "BIO lib".
    try:
        with Path(file).open("rb"):
            pass
    except OSError as error:
        if error.errno != errno.EISDIR:  # librdkafka takes a folder of authorities too
            raise ContractError(
                f"{variable} names {file}, which cannot be read: {error.strerror}; correct the path or its rights"
            ) from error
