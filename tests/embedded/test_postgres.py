import importlib.util
import os
import shutil
import signal
import stat
import tempfile
from collections.abc import Iterator
from importlib.machinery import ModuleSpec
from pathlib import Path

import psycopg2
import pytest

from llm_audit_consumer.embedded import EmbeddedMissingError, EmbeddedPostgres, EmbeddedStartError
from llm_audit_consumer.embedded.postgres_files import wheel_programs
from tests.parts.processes import is_alive, parent, wait_gone

START_AND_WAIT = """
from pathlib import Path
from llm_audit_consumer.embedded import EmbeddedPostgres
postgres = EmbeddedPostgres(Path({folder!r}))
postgres.start()
print(postgres.pid, flush=True)
input()
"""


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder every user may enter: pytest's own tmp_path is closed to the user a server of root runs as."""
    made = Path(tempfile.mkdtemp(prefix="llm-audit-test-"))
    made.chmod(0o755)
    yield made
    shutil.rmtree(made)


def write_row(dsn: str) -> None:
    ask(dsn, "CREATE TABLE kept (number int)")
    ask(dsn, "INSERT INTO kept VALUES (42)")


def ask(dsn: str, statement: str) -> list[tuple[object, ...]]:
    connection = psycopg2.connect(dsn)
    try:
        with connection, connection.cursor() as cursor:
            cursor.execute(statement)
            return cursor.fetchall() if cursor.description else []
    finally:
        connection.close()


def test_data_address_and_password_survive_a_stop_and_a_start(folder: Path) -> None:
    with EmbeddedPostgres(folder) as first:
        write_row(first.dsn)
        pid = first.pid
    assert not is_alive(pid)

    with EmbeddedPostgres(folder) as second:
        assert second.dsn == first.dsn
        assert ask(second.dsn, "SELECT number FROM kept") == [(42,)]


def test_committed_rows_survive_a_killed_server(folder: Path) -> None:
    with EmbeddedPostgres(folder) as postgres:
        dsn = postgres.dsn
        write_row(dsn)

        os.kill(postgres.pid, signal.SIGKILL)
        wait_gone(postgres.pid)
        postgres.restart()

        assert postgres.dsn == dsn
        assert ask(dsn, "SELECT number FROM kept") == [(42,)]


def test_a_killed_parent_leaves_no_server_and_a_usable_folder(folder: Path) -> None:
    with parent(START_AND_WAIT.format(folder=str(folder))) as (process, (pid,)):
        process.kill()
        wait_gone(pid)

    with EmbeddedPostgres(folder) as again:
        assert ask(again.dsn, "SELECT 1") == [(1,)]


def test_only_loopback_and_only_with_the_password(folder: Path) -> None:
    with EmbeddedPostgres(folder, ephemeral=True) as postgres:
        assert ask(postgres.dsn, "SHOW listen_addresses") == [("127.0.0.1",)]
        assert ask(postgres.dsn, "SHOW unix_socket_directories") == [("",)]
        with pytest.raises(psycopg2.OperationalError, match="password authentication failed"):
            ask(postgres.dsn.replace(postgres.files.password, "guessed"), "SELECT 1")
        mode = stat.S_IMODE((postgres.files.folder / "password").stat().st_mode)
        assert mode == 0o600


def test_durability_is_off_only_when_ephemeral(folder: Path) -> None:
    with EmbeddedPostgres(folder / "lasting") as lasting:
        assert ask(lasting.dsn, "SHOW fsync") == [("on",)]
    with EmbeddedPostgres(ephemeral=True) as ephemeral:
        assert ask(ephemeral.dsn, "SHOW fsync") == [("off",)]
        place = ephemeral.files.folder
    assert not place.exists()


def test_a_missing_wheel_is_named_with_its_mend(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def not_found(_name: str) -> ModuleSpec | None:
        return None

    monkeypatch.setattr(importlib.util, "find_spec", not_found)

    with pytest.raises(EmbeddedMissingError, match=r"pip install 'llm-audit-log\[dev\]'"):
        EmbeddedPostgres(folder).start()


def test_a_wrong_programs_folder_is_named(folder: Path) -> None:
    with pytest.raises(EmbeddedMissingError, match=f"{folder}/bin/postgres does not exist"):
        EmbeddedPostgres(folder / "data", programs=folder).start()


def test_a_server_that_will_not_start_shows_its_log(folder: Path) -> None:
    postgres = EmbeddedPostgres(folder, settings=("no_such_setting=1",))

    with pytest.raises(EmbeddedStartError, match='unrecognized configuration parameter "no_such_setting"'):
        postgres.start()

    assert not postgres.running


def test_a_second_server_on_the_same_folder_is_refused(folder: Path) -> None:
    with (
        EmbeddedPostgres(folder, ephemeral=True) as first,
        pytest.raises(EmbeddedStartError, match=r"postmaster\.pid"),
    ):
        EmbeddedPostgres(folder, ephemeral=True, port=first.port + 1).start()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root hands its server to another user")
def test_root_closed_folders_are_left_closed(folder: Path) -> None:
    closed = folder / "closed"
    closed.mkdir(mode=0o700)
    with EmbeddedPostgres(closed / "postgres", ephemeral=True) as postgres:
        place = postgres.files.folder
        try:
            assert ask(postgres.dsn, "SELECT 1") == [(1,)]
            assert str(place) in postgres.files.notes[0]
            assert stat.S_IMODE(closed.stat().st_mode) == 0o700
            assert stat.S_IMODE((place / "data").stat().st_mode) == 0o700
        finally:
            postgres.stop()
            shutil.rmtree(place)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root hands its server to another user")
def test_root_programs_nobody_can_read_are_copied(folder: Path) -> None:
    closed = folder / "closed"
    closed.mkdir(mode=0o700)
    package = wheel_programs().parent
    programs = closed / package.name / "pginstall"
    shutil.copytree(package / "pginstall", programs, symlinks=True)
    shutil.copytree(f"{package}.libs", closed / f"{package.name}.libs")

    with EmbeddedPostgres(folder / "postgres", ephemeral=True, programs=programs) as postgres:
        assert ask(postgres.dsn, "SELECT 1") == [(1,)]
        assert postgres.files.programs.is_relative_to(folder / "postgres")
        assert "runs from a copy" in postgres.files.notes[0]
        assert stat.S_IMODE(closed.stat().st_mode) == 0o700
