import os
import subprocess
import sys
from pathlib import Path

import pytest

from llm_audit_consumer.embedded import EmbeddedMissingError, choose_broker
from llm_audit_consumer.embedded.kafka_jars import find_java, kafka_jars
from llm_audit_consumer.embedded.mock_cluster import LIMITS

JAVA_17 = """#!/bin/sh
echo 'openjdk version "17.0.15" 2025-04-15' >&2
"""
JAVA_8 = """#!/bin/sh
echo 'java version "1.8.0_392"' >&2
"""
BROKEN_MAVEN = """#!/bin/sh
echo '[ERROR] Could not transfer artifact from central'
exit 1
"""
# Puts one jar where it is told to, and counts its runs beside itself.
WORKING_MAVEN = """#!/bin/sh
echo run >> "$(dirname "$0")/runs"
for argument; do
  case "$argument" in
    -DoutputDirectory=*) /bin/mkdir -p "${argument#*=}"; : > "${argument#*=}/kafka.jar" ;;
  esac
done
"""


@pytest.fixture
def tools(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A PATH of its own, with nothing in it but what the test puts there, and an empty cache."""
    place = tmp_path / "bin"
    place.mkdir()
    monkeypatch.setenv("PATH", f"{place}:/nowhere")
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.setenv("LLM_AUDIT_CACHE", str(tmp_path / "cache"))
    return place


def put(place: Path, name: str, script: str) -> None:
    (place / name).write_text(script, encoding="utf-8")
    (place / name).chmod(0o755)


def test_without_java_auto_takes_the_mock_and_says_why(tools: Path) -> None:
    choice = choose_broker("auto")

    assert choice.kind == "mock"
    assert "no java in the PATH" in choice.why
    assert choice.limits == LIMITS


def test_without_java_the_real_broker_cannot_be_insisted_on(tools: Path) -> None:
    with pytest.raises(EmbeddedMissingError, match=r"install a Java runtime \(17 or later\)"):
        choose_broker("kafka")


def test_an_old_java_is_named_with_its_version(tools: Path) -> None:
    put(tools, "java", JAVA_8)

    with pytest.raises(EmbeddedMissingError, match="is Java 8, and Kafka needs 17"):
        find_java()


def test_a_java_home_that_leads_nowhere_is_named(tools: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JAVA_HOME", "/nowhere/jdk")

    with pytest.raises(EmbeddedMissingError, match=r"no java in JAVA_HOME \(/nowhere/jdk\)"):
        find_java()


def test_without_maven_auto_takes_the_mock(tools: Path) -> None:
    put(tools, "java", JAVA_17)

    assert "no mvn on the PATH" in choose_broker("auto").why


def test_a_failed_download_shows_what_maven_said_and_leaves_nothing(tools: Path) -> None:
    put(tools, "java", JAVA_17)
    put(tools, "mvn", BROKEN_MAVEN)

    assert "Could not transfer artifact" in choose_broker("auto").why
    assert [each.suffix for each in (tools.parent / "cache").iterdir()] == [".lock"]


def test_the_jars_are_fetched_once(tools: Path) -> None:
    put(tools, "java", JAVA_17)
    put(tools, "mvn", WORKING_MAVEN.replace("$(dirname", "$(/usr/bin/dirname"))

    first, second = kafka_jars(), kafka_jars()

    assert first == second
    assert (first / "kafka.jar").exists()
    assert (tools / "runs").read_text(encoding="utf-8") == "run\n"


def test_the_mock_can_be_asked_for(tools: Path) -> None:
    assert choose_broker("mock").kind == "mock"


def test_tests_that_require_the_real_broker_do_not_start_without_it(tmp_path: Path) -> None:
    environment = {
        **os.environ,
        "LLM_AUDIT_REQUIRE_REAL": "1",
        "LLM_AUDIT_TEST_KAFKA": "",
        "LLM_AUDIT_TEST_DOCKER": "off",
        "JAVA_HOME": "/nowhere/jdk",
    }
    run = subprocess.run(
        [sys.executable, "-m", "pytest", "--collect-only", "-q", "-p", "no:cacheprovider", __file__],
        cwd=Path(__file__).parents[2],
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )

    assert run.returncode == pytest.ExitCode.USAGE_ERROR
    assert "no real Kafka" in run.stdout + run.stderr
