"""Options that several commands share. Each is a flag and an environment variable."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar

import click

from llm_audit_schemas import kafka_connection
from llm_audit_schemas.kafka_connection import KafkaConnection

Command = TypeVar("Command", bound=Callable[..., Any])

DSN_VARIABLE = "LLM_AUDIT_POSTGRES_DSN"


def dsn_option(command: Command) -> Command:
    """``--dsn``: how to reach PostgreSQL; passed on as ``dsn``."""
    return click.option(
        "--dsn",
        envvar=DSN_VARIABLE,
        required=True,
        show_envvar=True,
        help="PostgreSQL connection string (libpq URI or keywords). Keep a password out of the flag: use "
        "the variable, PGPASSWORD or a passfile.",
    )(command)


def kafka_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """The Kafka connection's flags; passed on as one ``kafka`` of type :class:`KafkaConnection`."""

    @wraps(command)
    def with_connection(*args: object, **kwargs: Any) -> object:
        given = {name: kwargs.pop(name) for name in kafka_connection.VARIABLES}
        connection = KafkaConnection(**{name: value for name, value in given.items() if value})
        return command(*args, kafka=connection, **kwargs)

    decorated: Callable[..., Any] = with_connection
    for name, help_text in reversed(_KAFKA_FLAGS.items()):
        decorated = click.option(
            f"--kafka-{name.replace('_', '-')}",
            name,
            envvar=kafka_connection.VARIABLES[name],
            show_envvar=True,
            help=help_text,
        )(decorated)
    return decorated


_KAFKA_FLAGS = {
    "bootstrap_servers": f"host:port, several separated by commas. [default: {kafka_connection.DEFAULT_BOOTSTRAP}]",
    "security_protocol": "PLAINTEXT, SSL, SASL_PLAINTEXT or SASL_SSL. [default: PLAINTEXT]",
    "sasl_mechanism": "Such as SCRAM-SHA-512.",
    "sasl_username": "User name for SASL.",
    "sasl_password": "Password for SASL; better given by the variable.",
    "ssl_ca": "File of the certificate authorities to trust.",
    "ssl_certificate": "File of the client's own certificate, for mutual TLS.",
    "ssl_key": "File of its private key.",
    "ssl_key_password": "Passphrase of that key; better given by the variable.",
}
