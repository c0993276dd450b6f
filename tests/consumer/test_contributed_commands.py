"""Commands that other packages add to ``llm-audit`` by entry points."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from importlib.metadata import EntryPoint

import click
import pytest
from click.testing import CliRunner

from llm_audit_consumer.cli import group
from llm_audit_consumer.errors import ConfigurationError

Contribute = Callable[..., None]


@click.command(short_help="Say a word.")
def word() -> None:
    """Say a word, and nothing else."""
    click.echo("a word")


@click.command()
def undocumented_length() -> None:
    """The first sentence stands for the command. The others are left out."""


@pytest.fixture
def contribute(monkeypatch: pytest.MonkeyPatch) -> Iterator[Contribute]:
    """Installs commands by name and place, as packages would."""

    def install(**places: str) -> None:
        found = [EntryPoint(name, place, "llm_audit.commands") for name, place in places.items()]
        monkeypatch.setattr(
            group, "entry_points", lambda *, group: found if group == "llm_audit.commands" else []
        )
        group._contributed.cache_clear()

    yield install
    group._contributed.cache_clear()


def test_a_contributed_command_stands_in_the_help_and_runs(contribute: Contribute) -> None:
    contribute(word=f"{__name__}:word", other=f"{__name__}:undocumented_length")
    said = " ".join(CliRunner().invoke(group.cli, ["--help"]).stdout.split())
    assert "word Say a word." in said
    assert "other The first sentence stands for the command. " in said
    assert "consume Run the daemon" in said
    assert CliRunner().invoke(group.cli, ["word"]).stdout == "a word\n"


def test_the_consumer_s_own_names_stay_its_own(contribute: Contribute) -> None:
    contribute(migrate=f"{__name__}:word")
    said = " ".join(CliRunner().invoke(group.cli, ["--help"]).stdout.split())
    assert "migrate Bring the database's tables up to date." in said
    assert "Bring the database" in CliRunner().invoke(group.cli, ["migrate", "--help"]).stdout


@pytest.mark.parametrize("place", ["no_such_module:command", f"{__name__}:missing", f"{__name__}:Contribute"])
def test_a_broken_one_takes_no_other_away_and_is_named(place: str, contribute: Contribute) -> None:
    contribute(broken=place, word=f"{__name__}:word")
    said = CliRunner().invoke(group.cli, ["--help"])
    assert (said.exit_code, "Say a word." in said.stdout, "broken" in said.stdout) == (0, True, True)
    assert CliRunner().invoke(group.cli, ["word"]).stdout == "a word\n"
    with pytest.raises(ConfigurationError, match=f"'broken' .*{place}"):
        CliRunner().invoke(group.cli, ["broken"], catch_exceptions=False)


def test_an_unknown_command_is_still_unknown(contribute: Contribute) -> None:
    contribute(word=f"{__name__}:word")
    said = CliRunner().invoke(group.cli, ["sentence"])
    assert (said.exit_code, "No such command" in said.stderr) == (2, True)


def test_the_help_loads_no_database_no_broker_and_no_sdk() -> None:
    program = (
        "import sys, json\n"
        "from llm_audit_consumer.cli.group import cli\n"
        "cli(['--help'], standalone_mode=False)\n"
        "print(json.dumps(sorted(sys.modules)), file=sys.stderr)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], check=True, capture_output=True, text=True, timeout=60
    )
    loaded = {name.partition(".")[0] for name in json.loads(done.stderr)}
    assert "reprice" in done.stdout
    assert not loaded & {
        "psycopg2",
        "confluent_kafka",
        "anthropic",
        "genai_prices",
        "rich",
        "prometheus_client",
    }
