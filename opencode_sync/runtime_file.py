"""The runtime file: where a running gateway leaves its port and token for clients to find.

The token is as good as a key, so the file is only ever readable by its owner, appears and is
replaced whole, and is read with the same suspicion with which ssh reads a private key. Nothing here
keeps state: every function may be called from any thread.
"""

from __future__ import annotations

import contextlib
import errno
import hmac
import json
import os
import secrets
import socket
import stat
import warnings
from collections.abc import Iterator
from pathlib import Path

from opencode_sync.config import SecretBytes
from opencode_sync.errors import IpcConfigError

__all__ = [
    "MAX_FILE_SIZE",
    "RUNTIME_FILE_VARIABLE",
    "default_runtime_file",
    "gateway_behind",
    "is_gone",
    "read_small_file",
    "remove_runtime_file",
    "write_runtime_file",
]

RUNTIME_FILE_VARIABLE = "OPENCODE_SYNC_RUNTIME_FILE"
"""The environment variable that names another runtime file."""

MAX_FILE_SIZE = 64 * 1024
"""Bytes a configuration file may have; what is larger is something else."""

_ANSWERS_WITHIN = 0.5  # seconds; it is on this machine

_POSIX = os.name == "posix"

# Flags that one system or another lacks. O_NONBLOCK: opening a FIFO must not wait for a writer.
_READ_FLAGS = (
    os.O_RDONLY
    | getattr(os, "O_NONBLOCK", 0)
    | getattr(os, "O_NOCTTY", 0)
    | getattr(os, "O_BINARY", 0)
)
_CREATE_FLAGS = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
_NO_FOLLOW = getattr(os, "O_NOFOLLOW", 0)


def default_runtime_file() -> Path:
    """Return the runtime file that gateways write and clients look for when told nothing else.

    Returns:
        The path in the environment variable ``OPENCODE_SYNC_RUNTIME_FILE`` if that is set and not
        blank, else ``gateway.json`` in the user's own runtime folder. It need not exist.
    """
    named = os.environ.get(RUNTIME_FILE_VARIABLE, "")
    if named.strip():
        return Path(named).expanduser()
    # Imported here because most clients are told where to connect and never get this far.
    import platformdirs

    try:
        with warnings.catch_warnings():
            # Without XDG_RUNTIME_DIR (cron, containers) it warns of the folder it falls back to;
            # whether that one is safe is checked where the file is written or read.
            warnings.simplefilter("ignore")
            folder = platformdirs.user_runtime_path("opencode-sync")
    except OSError as error:
        raise IpcConfigError(
            f"No folder for the runtime file can be trusted ({error}); "
            f"name a file of your own in {RUNTIME_FILE_VARIABLE}.",
            field="path",
            source="runtime folder",
        ) from error
    return folder / "gateway.json"


def write_runtime_file(path: Path, *, port: int, auth_token: str, pid: int | None = None) -> None:
    """Write the file, readable by this user only, in one step that no reader can see half done.

    The folder is made, for this user only, if it is missing. A file already there is replaced: the
    gateway that started last is the one that clients find.

    Args:
        path: The file to write.
        port: The port the gateway listens on.
        auth_token: The token it expects.
        pid: The gateway's process id, by which clients tell a stale file; None means this process.

    Raises:
        IpcConfigError: If the path is a symbolic link or a folder, if other users can write to its
            folder, or if it cannot be written.
    """
    document = {"port": port, "auth_token": auth_token, "pid": os.getpid() if pid is None else pid}
    content = SecretBytes(json.dumps(document).encode())
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with _private_folder(path.parent) as folder:
            _replace(path, content, folder)
    except OSError as error:
        raise _cannot("written", path, error) from error


def gateway_behind(path: Path) -> str | None:
    """Return a description of the gateway that clients find by this file, None if there is none.

    A file left by a gateway that is gone, or one that cannot be read, stands for none.
    """
    try:
        content = read_small_file(path, private=True, follow_symlinks=False)
        document = json.loads(content or b"null")
        port, pid = int(document["port"]), document.get("pid")
        if isinstance(pid, int) and is_gone(pid):
            return None
        socket.create_connection(("127.0.0.1", port), timeout=_ANSWERS_WITHIN).close()
    except (IpcConfigError, OSError, ValueError, OverflowError, RecursionError):
        return None
    except (LookupError, TypeError, AttributeError):  # JSON of another shape
        return None
    return f"port {port}" if pid is None else f"process {pid}, port {port}"


def is_gone(pid: int) -> bool:
    """Return whether there is certainly no such process. When in doubt, connecting will tell."""
    if not _POSIX:
        return False  # os.kill would end the process there
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    except (PermissionError, OverflowError):
        return False  # it is there and somebody else's, or no process id at all
    return False


def remove_runtime_file(path: Path, *, auth_token: str) -> bool:
    """Remove the file if it still is the one with this token.

    Another gateway may have replaced it, even in this very moment; a file of another gateway stays.

    Args:
        path: The file to remove.
        auth_token: The token that was written to it.

    Returns:
        Whether it was removed. False if it is gone already, is not ours, or cannot be removed.
    """
    if not _holds(path, auth_token):
        return False
    # Between looking and removing, the file may become another gateway's. So it is first moved
    # out of the way, then looked at once more, and given back if it turned out not to be ours.
    aside = path.with_name(_temporary_name(path))
    try:
        os.replace(path, aside)
    except OSError:
        return False
    ours = _holds(aside, auth_token)
    if not ours:
        # A link never overwrites: should a third gateway have written its file by now, that one
        # is newer and stays.
        with contextlib.suppress(OSError):
            os.link(aside, path)
    with contextlib.suppress(OSError):
        aside.unlink()
    return ours


def read_small_file(path: Path, *, private: bool, follow_symlinks: bool = True) -> bytes | None:
    """Read a configuration file, without waiting and without trusting it.

    All checks are made on the opened file, so it cannot be exchanged between check and use.

    Args:
        path: The file to read.
        private: Whether to insist, on POSIX, that it belongs to this user and that nobody else has
            any access to it.
        follow_symlinks: Whether the file itself may be a symbolic link.

    Returns:
        The content, or None if there is no such file.

    Raises:
        IpcConfigError: If it is not a regular file, is larger than 64 KiB, is not private, or
            cannot be read.
    """
    try:
        if not follow_symlinks and path.is_symlink():
            raise _refusal(path, "is a symbolic link; remove it, then start the gateway again")
        descriptor = os.open(path, _READ_FLAGS | (0 if follow_symlinks else _NO_FOLLOW))
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise _cannot("read", path, error) from error
    except ValueError as error:  # a NUL character in the path
        raise _refusal(path, "is not a possible file name; correct the path") from error
    try:
        _check_opened(path, os.fstat(descriptor), private=private)
        with os.fdopen(descriptor, "rb", closefd=False) as file:
            content = SecretBytes(file.read(MAX_FILE_SIZE + 1))
    except OSError as error:
        raise _cannot("read", path, error) from error
    finally:
        os.close(descriptor)
    if len(content) > MAX_FILE_SIZE:
        raise _refusal(path, "is larger than 64 KiB; name a configuration file instead")
    return content


def _check_opened(path: Path, status: os.stat_result, *, private: bool) -> None:
    if stat.S_ISDIR(status.st_mode):
        raise _refusal(path, "is a folder; name the file inside it")
    if not stat.S_ISREG(status.st_mode):
        raise _refusal(path, "is not a regular file; name a configuration file instead")
    if not (private and _POSIX):
        return
    if status.st_uid != os.geteuid():
        raise _refusal(path, "belongs to another user; use a file of your own")
    if status.st_mode & 0o077:
        raise _refusal(
            path,
            f"can be accessed by other users (mode {stat.S_IMODE(status.st_mode):04o}); "
            f"run: chmod 600 {path}",
        )


@contextlib.contextmanager
def _private_folder(folder: Path) -> Iterator[int | None]:
    """Hold the folder open, once checked, so that it cannot be exchanged under the writer."""
    if not _POSIX:
        yield None  # folders cannot be opened there; the user's own folder is private by its ACL
        return
    descriptor = os.open(folder, os.O_RDONLY | getattr(os, "O_DIRECTORY", 0))
    try:
        status = os.fstat(descriptor)
        if status.st_uid not in (os.geteuid(), 0) or status.st_mode & 0o022:
            raise _refusal(
                folder,
                "can be written to by other users, so it is no place for a token; "
                f"run: chmod 700 {folder}, or name another file in {RUNTIME_FILE_VARIABLE}",
            )
        yield descriptor
    finally:
        os.close(descriptor)


def _replace(path: Path, content: bytes, folder: int | None) -> None:
    # Relative to the open folder where the system can do that, else by full path.
    target = str(path) if folder is None else path.name
    temporary = _temporary_name(path)
    if folder is None:
        temporary = str(path.with_name(temporary))
    try:
        status = os.stat(target, dir_fd=folder, follow_symlinks=False)
    except FileNotFoundError:
        pass
    else:
        if not stat.S_ISREG(status.st_mode):
            raise _refusal(path, "exists and is not a regular file; remove it")
    descriptor = os.open(temporary, _CREATE_FLAGS | _NO_FOLLOW, 0o600, dir_fd=folder)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(descriptor)
        os.replace(temporary, target, src_dir_fd=folder, dst_dir_fd=folder)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(temporary, dir_fd=folder)
        raise


def _temporary_name(path: Path) -> str:
    return f".{path.name}.{secrets.token_hex(8)}.tmp"


def _holds(path: Path, auth_token: str) -> bool:
    """Return whether the file is there and holds this token; a file we would not read does not."""
    try:
        content = read_small_file(path, private=True, follow_symlinks=False)
        document = json.loads(content or b"null")
    except (IpcConfigError, ValueError, RecursionError):
        return False
    found = document.get("auth_token") if isinstance(document, dict) else None
    return isinstance(found, str) and hmac.compare_digest(
        found.encode(errors="surrogatepass"), auth_token.encode(errors="surrogatepass")
    )


def _refusal(path: Path, problem: str) -> IpcConfigError:
    return IpcConfigError(f"{path} {problem}.", field="path", source=str(path))


def _cannot(done: str, path: Path, error: OSError) -> IpcConfigError:
    if error.errno == errno.EISDIR or path.is_dir():
        return _refusal(path, "is a folder; name the file inside it")
    reason = error.strerror or type(error).__name__
    return _refusal(
        path, f"cannot be {done} ({reason}); check the path and what you are allowed to do there"
    )
