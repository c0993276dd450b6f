"""Why Kafka does not answer: librdkafka's calls say only that they failed; the cause comes as an event beside them."""

from __future__ import annotations

from confluent_kafka import KafkaError, KafkaException

from llm_audit_consumer.errors import BrokerUnavailableError
from llm_audit_schemas.kafka_connection import KafkaConnection

_ADDRESS_HINT = (
    "check that the broker runs, that LLM_AUDIT_KAFKA_BOOTSTRAP is right, and that "
    "LLM_AUDIT_KAFKA_SECURITY_PROTOCOL is what that port speaks; a broker that wants a client's certificate "
    "(LLM_AUDIT_KAFKA_SSL_CERTIFICATE, LLM_AUDIT_KAFKA_SSL_KEY) may only hang up"
)
_HINTS = {
    KafkaError._SSL: (
        "check that LLM_AUDIT_KAFKA_SSL_CA holds the authority of the broker's certificate, that the certificate names "
        "the address in LLM_AUDIT_KAFKA_BOOTSTRAP, and, where the broker wants one, LLM_AUDIT_KAFKA_SSL_CERTIFICATE "
        "and LLM_AUDIT_KAFKA_SSL_KEY"
    ),
    KafkaError._AUTHENTICATION: (
        "check LLM_AUDIT_KAFKA_SASL_USERNAME, LLM_AUDIT_KAFKA_SASL_PASSWORD and LLM_AUDIT_KAFKA_SASL_MECHANISM, and "
        "that the broker has this user"
    ),
}


class Causes:
    """Keeps what a client says of its connections; give :meth:`note` to it as its ``error_cb``."""

    def __init__(self) -> None:
        self._latest: KafkaError | None = None
        self._telling: KafkaError | None = None

    def note(self, error: KafkaError) -> None:
        """Take an event; one that names TLS or the login tells more than that brokers are away."""
        self._latest = error
        if error.code() in _HINTS:
            self._telling = error

    def unavailable(self, connection: KafkaConnection, failure: KafkaException) -> BrokerUnavailableError:
        """The error for a call that failed, with the cause and its mend as far as they are known."""
        cause = self._telling or self._latest
        said = failure.args[0].str() + (f" ({cause.str()})" if cause is not None else "")
        hint = _ADDRESS_HINT if cause is None else _HINTS.get(cause.code(), _ADDRESS_HINT)
        return BrokerUnavailableError(
            f"Kafka at {connection.bootstrap_servers} does not answer: {said}", hint
        )
