"""Authorities, and servers that trust one of them. Each server is started once, when a test first asks for it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.consumer.tables import Tables
from tests.parts.databases import Database
from tests.security.brokers import SecureBroker, mutual_broker, scram_broker
from tests.security.certificates import Authority


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"), "trusted")


@pytest.fixture(scope="session")
def stranger(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """An authority that no server trusts, and that has signed none of them."""
    return Authority(tmp_path_factory.mktemp("stranger"), "stranger")


@pytest.fixture(scope="session")
def by_password(tmp_path_factory: pytest.TempPathFactory, authority: Authority) -> Iterator[SecureBroker]:
    folder: Path = tmp_path_factory.mktemp("scram")
    with scram_broker(folder, authority) as broker:
        yield broker


@pytest.fixture(scope="session")
def by_certificate(tmp_path_factory: pytest.TempPathFactory, authority: Authority) -> Iterator[SecureBroker]:
    folder: Path = tmp_path_factory.mktemp("mutual")
    with mutual_broker(folder, authority) as broker:
        yield broker


@pytest.fixture
def tables(database: Database) -> Tables:
    return Tables(database.dsn)
