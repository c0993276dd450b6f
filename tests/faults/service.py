"""A service under audit, run as a script: steady calls, each noted in a file of its own once it has returned.

The note is one ``write`` to a file opened for appending, so a kill -9 keeps every note that was begun. Its lines:

    LIFE PRODUCER_ID                      this process's producer
    CALL WORKER NUMBER REQUEST_ID OUTCOME a call that returned; OUTCOME is ``ok`` or ``unavailable``
    PAUSED                                no call is under way, and none begins until told so
    END STATISTICS                        the producer is closed, and what it counted, as JSON

It is told what to do by lines on its standard input: ``pause``, ``go``, ``stop``. Settings come by LLM_AUDIT_*.
"""

from __future__ import annotations

import faulthandler
import json
import os
import signal
import sys
import threading
from dataclasses import asdict

from llm_audit_producer import AuditLogger, AuditUnavailable

_MODEL = "claude-opus-4-8"


class Service:
    """Some workers that make calls.

    Args:
        notes: File descriptor of the notes.
        name: Stands in every entry as its user.
        workers: How many make calls at once.
        pause_seconds: Between two calls of a worker.
    """

    def __init__(self, notes: int, name: str, workers: int, pause_seconds: float) -> None:
        self._notes = notes
        self._name = name
        self._pause_seconds = pause_seconds
        self._audit = AuditLogger()
        self._going = threading.Event()
        self._going.set()
        self._stopping = threading.Event()
        self._at_rest = threading.Barrier(workers + 1)
        self._workers = [
            threading.Thread(target=self._work, args=(number,), daemon=True) for number in range(workers)
        ]

    def run(self) -> None:
        """Obey standard input until it ends."""
        self._note("LIFE", self._audit.producer_id)
        for worker in self._workers:
            worker.start()
        for line in sys.stdin:
            if line == "pause\n":
                self._going.clear()
                self._at_rest.wait()
                self._note("PAUSED")
            elif line == "go\n":
                self._going.set()
            else:
                break
        self._stopping.set()
        self._going.set()
        for worker in self._workers:
            worker.join()
        self._audit.close()
        self._note("END", json.dumps(asdict(self._audit.statistics())))

    def _work(self, worker: int) -> None:
        number = 0
        while not self._stopping.is_set():
            if not self._going.is_set():
                self._at_rest.wait()
                self._going.wait()
                continue
            self._call(worker, number)
            number += 1
            self._stopping.wait(self._pause_seconds)

    def _call(self, worker: int, number: int) -> None:
        try:
            request_id = self._audit.log_request(
                self._name,
                _MODEL,
                input_tokens=number,
                output_tokens=worker,
                latency_ms=5,
                metadata={"worker": worker, "number": number},
            )
        except AuditUnavailable as error:
            self._note("CALL", str(worker), str(number), error.request_id, "unavailable")
        else:
            self._note("CALL", str(worker), str(number), request_id, "ok")

    def _note(self, *words: str) -> None:
        os.write(self._notes, (" ".join(words) + "\n").encode())


if __name__ == "__main__":
    faulthandler.register(signal.SIGUSR1)  # where every thread is, for whoever asks why nothing moves
    _path, _name, _workers, _pause = sys.argv[1:]
    _descriptor = os.open(_path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    Service(_descriptor, _name, int(_workers), float(_pause)).run()
