"""Running a server as root's guest: which user it gets, and what that user can reach.

PostgreSQL refuses to run as root, and rightly so. When we are root the server runs as `nobody`, in a folder
of its own, and nobody else's folder is opened up for it.
"""

import hashlib
import os
import pwd
import shutil
import stat
import tempfile
from dataclasses import dataclass
from pathlib import Path

from llm_audit_consumer.embedded.errors import EmbeddedError

_USER = "nobody"
# Survives a reboot, unlike /tmp (Filesystem Hierarchy Standard 3.0, section 5.15).
_LASTING_TEMP = Path("/var/tmp")  # noqa: S108 - used only through private_folder, which checks the owner


@dataclass(frozen=True, slots=True)
class Owner:
    """The user and group ids a server runs as."""

    uid: int
    gid: int


def server_owner() -> Owner | None:
    """Return whom to run a server as: `nobody` when we are root, else None (ourselves).

    Raises:
        EmbeddedError: We are root and this machine has no user `nobody`.
    """
    if os.geteuid() != 0:
        return None
    try:
        entry = pwd.getpwnam(_USER)
    except KeyError:
        raise EmbeddedError(
            f"PostgreSQL refuses to run as root and this machine has no user {_USER!r} to run it as: "
            "create that user, or start as another user than root"
        ) from None
    return Owner(entry.pw_uid, entry.pw_gid)


def _allows(status: os.stat_result, owner: Owner, bit: int) -> bool:
    """Judge one permission (4 read, 1 enter or execute) by the mode bits, which is what nobody is left with."""
    if status.st_uid == owner.uid:
        return bool(status.st_mode & (bit << 6))
    if status.st_gid == owner.gid:
        return bool(status.st_mode & (bit << 3))
    return bool(status.st_mode & bit)


def can_enter(folder: Path, owner: Owner) -> bool:
    """Say whether `owner` may enter this existing folder and all above it."""
    real = folder.resolve()
    return all(_allows(step.stat(), owner, 1) for step in (real, *real.parents))


def can_read(file: Path, owner: Owner) -> bool:
    """Say whether `owner` may reach and read this existing file."""
    real = file.resolve()
    return can_enter(real.parent, owner) and _allows(real.stat(), owner, 4)


def private_folder(wanted: Path, owner: Owner, *, lasting: bool) -> Path:
    """Return a folder of our own under the system's temporary folder, standing in for `wanted`.

    The name is made from `wanted`, so that the same request finds its data again.

    Raises:
        EmbeddedError: Something that is not ours already has that name, or `owner` can enter no temporary
            folder either.
    """
    places = [_LASTING_TEMP, Path(tempfile.gettempdir())]
    usable = [base for base in places[0 if lasting else 1 :] if base.is_dir() and can_enter(base, owner)]
    if not usable:
        raise EmbeddedError(
            f"user {_USER} can enter neither {wanted} nor {places[-1]}: choose another data folder or TMPDIR"
        )
    base = usable[0]
    name = hashlib.sha256(str(wanted).encode()).hexdigest()[:12]
    folder = base / f"llm-audit-log-{os.geteuid()}-{name}"
    folder.mkdir(mode=0o711, exist_ok=True)
    status = folder.lstat()
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.geteuid():
        raise EmbeddedError(f"{folder} exists and is not ours: remove it, or choose another data folder")
    folder.chmod(0o711)
    return folder


def give_folder(folder: Path, owner: Owner | None) -> None:
    """Make `folder` and let `owner` alone use it."""
    folder.mkdir(mode=0o700, exist_ok=True)
    if owner is not None:
        os.chown(folder, owner.uid, owner.gid)


def copy_readable(source: Path, target: Path, *, leave_out: str = "") -> None:
    """Copy a program's folder to where every user may read it; a finished earlier copy is kept."""
    if target.exists():
        return
    unfinished = target.with_name(target.name + ".unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    shutil.copytree(source, unfinished, symlinks=True, ignore=shutil.ignore_patterns(leave_out))
    for path in (unfinished, *unfinished.rglob("*")):
        if not path.is_symlink():
            mode = path.stat().st_mode
            executable = path.is_dir() or bool(mode & stat.S_IXUSR)
            path.chmod(0o755 if executable else 0o644)
    unfinished.rename(target)
