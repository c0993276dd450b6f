"""The demo service of docker-compose.yml, as a process here."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from tests.consumer.consumer_process import environment_of
from tests.deploy.tools import DEPLOY


@contextmanager
def running_demo(environment: dict[str, str]) -> Iterator[int]:
    """The service, talking all the time; gives the port of its metrics."""
    service = subprocess.Popen(
        [sys.executable, "-W", "ignore::DeprecationWarning", str(DEPLOY / "demo" / "service.py")],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
        env=environment_of({"DEMO_METRICS_PORT": "0", "DEMO_SECONDS_BETWEEN_CALLS": "0.05"}) | environment,
    )
    assert service.stdout is not None
    try:
        words = service.stdout.readline().split()
        assert words[:3] == ["metrics", "on", "port"], words
        yield int(words[3])
    finally:
        service.terminate()
        code = service.wait(30)
        service.stdout.close()
    assert code == 0
