"""Apache Kafka's jars, fetched once from Maven Central into a cache folder."""

import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from llm_audit_consumer.embedded.errors import EmbeddedMissingError

_POM = Path(__file__).with_name("kafka-pom.xml")
_POM_SPACE = {"m": "http://maven.apache.org/POM/4.0.0"}
# Kafka 4 brokers need Java 17 (https://kafka.apache.org/documentation/#java).
_JAVA_AT_LEAST = 17
_MEND = "install a Java runtime (17 or later) and Maven, or use a Kafka of your own"
_DOWNLOAD_SECONDS = 600.0


def kafka_version() -> str:
    """Return the version of Apache Kafka the embedded broker runs, as its pom names it."""
    artifact = _dependency("kafka_")
    return artifact.findtext("m:version", "", _POM_SPACE)


def _dependency(prefix: str) -> ElementTree.Element:
    root = ElementTree.parse(_POM).getroot()  # noqa: S314 - our own file from our own package
    for dependency in root.iterfind(".//m:dependency", _POM_SPACE):
        if dependency.findtext("m:artifactId", "", _POM_SPACE).startswith(prefix):
            return dependency
    raise EmbeddedMissingError(f"{_POM} names no dependency {prefix}*: reinstall llm-audit-log")


def find_java() -> Path:
    """Return a `java` that can run Kafka: JAVA_HOME's, else the PATH's.

    Raises:
        EmbeddedMissingError: There is none, or it is too old.
    """
    home = os.environ.get("JAVA_HOME")
    java = shutil.which("java", path=str(Path(home) / "bin") if home else None)
    if java is None:
        where = f"JAVA_HOME ({home})" if home else "the PATH"
        raise EmbeddedMissingError(f"no java in {where}: {_MEND}")
    told = subprocess.run(  # noqa: S603 - the user's own java
        [java, "-version"], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60, check=False
    )
    found = re.search(r'version "(?:1\.)?(\d+)', told.stderr + told.stdout)
    if told.returncode != 0 or found is None:
        raise EmbeddedMissingError(f"{java} -version does not work: {_MEND}")
    if int(found[1]) < _JAVA_AT_LEAST:
        raise EmbeddedMissingError(f"{java} is Java {found[1]}, and Kafka needs {_JAVA_AT_LEAST}: {_MEND}")
    return Path(java)


def cache_folder() -> Path:
    """Return where downloads are kept: LLM_AUDIT_CACHE, else `~/.cache/llm-audit-log`."""
    chosen = os.environ.get("LLM_AUDIT_CACHE")
    return Path(chosen).absolute() if chosen else Path.home() / ".cache" / "llm-audit-log"


def kafka_jars() -> Path:
    """Return the folder of Kafka's jars, fetching them the first time (about 45 MB).

    Safe when several processes ask at once. Maven's own settings (mirrors, proxies) apply.

    Raises:
        EmbeddedMissingError: Maven is missing, or its download failed.
    """
    digest = hashlib.sha256(_POM.read_bytes()).hexdigest()[:12]
    jars = cache_folder() / f"kafka-{kafka_version()}-{digest}"
    if jars.is_dir():
        return jars
    maven = shutil.which("mvn")
    if maven is None:
        raise EmbeddedMissingError(f"no mvn on the PATH to fetch Apache Kafka with: {_MEND}")
    jars.parent.mkdir(parents=True, exist_ok=True)
    with _locked(jars.with_name(jars.name + ".lock")):
        if not jars.is_dir():  # another process may have fetched them while we waited
            _download(maven, jars)
    return jars


def _download(maven: str, jars: Path) -> None:
    unfinished = jars.with_name(jars.name + ".unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    command = [maven, "-B", "-q", "-f", str(_POM), "dependency:copy-dependencies"]
    try:
        result = subprocess.run(  # noqa: S603 - the user's own Maven with our pom
            [*command, f"-DoutputDirectory={unfinished}"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=_DOWNLOAD_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise EmbeddedMissingError(
            f"Maven did not fetch Apache Kafka within {_DOWNLOAD_SECONDS:g} s: check the network, or {_MEND}"
        ) from None
    if result.returncode != 0:
        shutil.rmtree(unfinished, ignore_errors=True)
        told = "\n".join(result.stdout.strip().splitlines()[:5])
        raise EmbeddedMissingError(
            f"Maven could not fetch Apache Kafka {kafka_version()} (network, or a mirror in Maven's "
            f"settings.xml?): mend that, or use a Kafka of your own. Maven said:\n{told}"
        )
    unfinished.rename(jars)


@contextmanager
def _locked(file: Path) -> Iterator[None]:
    with file.open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
