"""A real OpenCode for the end-to-end tests: installed once, started privately, asked directly.

``install()`` puts ``opencode-ai`` into a cache folder with npm. ``RealServer`` runs
``opencode serve`` offline, with a home and a project folder of its own, and has helpers that ask
OpenCode's own HTTP API, with nothing of this package in between.
"""

from __future__ import annotations

import base64
import contextlib
import http.client
import json
import os
import re
import shutil
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

VERSION = "1.18.33"
"""The OpenCode these tests are written against."""

_INSTALL_SECONDS = 600.0
_START_SECONDS = 60.0
"""More than it needs: the first start after an install reads 180 MB from disk."""


class NotAvailable(Exception):
    """There can be no OpenCode here; the text says why."""


# Installing...


def cache_folder() -> Path:
    """Return where OpenCode is kept between runs; OPENCODE_SYNC_TEST_CACHE overrides it."""
    root = os.environ.get("OPENCODE_SYNC_TEST_CACHE") or Path(__file__).parents[2] / ".cache"
    return Path(root) / f"opencode-ai-{VERSION}"


def install() -> Path:
    """Return OpenCode's program, installing it first if need be.

    Runs at the same time do not disturb each other: one installs, the others wait for it, and what
    is half installed is never seen.

    Raises:
        NotAvailable: npm is missing or fails.
    """
    folder = cache_folder()
    program = folder / "node_modules" / "opencode-ai" / "bin" / "opencode.exe"
    if program.exists():
        return program
    npm = shutil.which("npm")
    if npm is None:
        raise NotAvailable("npm is not installed")
    folder.parent.mkdir(parents=True, exist_ok=True)
    run = os.environ.get("PYTEST_XDIST_TESTRUNUID") or str(os.getpid())
    failure = Path(tempfile.gettempdir()) / f"opencode-sync-no-npm-{run}"
    with _locked(folder.parent / f".{folder.name}.lock"):
        if program.exists():
            return program
        if failure.exists():
            raise NotAvailable(failure.read_text(encoding="utf-8"))
        fresh = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
        try:
            _npm_install(npm, fresh)
            _check_version(fresh / program.relative_to(folder))
            shutil.rmtree(folder, ignore_errors=True)  # a folder without the program is no use
            fresh.rename(folder)
        except NotAvailable as reason:
            # So that the other processes of this run need not find out for themselves.
            failure.write_text(str(reason), encoding="utf-8")
            raise
        finally:
            shutil.rmtree(fresh, ignore_errors=True)
    return program


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    with path.open("w") as file:
        # Without fcntl two runs may both install; the rename still keeps the result whole.
        with contextlib.suppress(ImportError):
            import fcntl

            fcntl.flock(file, fcntl.LOCK_EX)  # freed when the file is closed
        yield


def _npm_install(npm: str, folder: Path) -> None:
    # Without a network npm would try again for minutes; once more has to be enough.
    patience = ["--fetch-retries=1", "--fetch-timeout=60000"]
    command = [npm, "install", "--no-audit", "--no-fund", *patience, "--prefix", str(folder)]
    try:
        done = subprocess.run(
            [*command, f"opencode-ai@{VERSION}"],
            cwd=folder,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_INSTALL_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise NotAvailable(f"npm did not end within {_INSTALL_SECONDS:.0f} s") from None
    if done.returncode != 0:
        raise NotAvailable(f"npm failed with code {done.returncode}: {_first_line(done.stderr)}")


def _first_line(text: str) -> str:
    return next((line.strip() for line in text.splitlines() if line.strip()), "")[:200]


def _check_version(program: Path) -> None:
    with tempfile.TemporaryDirectory() as home:
        done = subprocess.run(
            [program, "--version"],
            env=offline_environment(Path(home)),
            capture_output=True,
            text=True,
            timeout=_START_SECONDS,
            check=False,
        )
    if done.stdout.strip() != VERSION:
        raise NotAvailable(
            f"the installed program says {done.stdout.strip()!r} where {VERSION} was expected: "
            f"{done.stderr[-1000:]}"
        )


# Running...


def offline_environment(home: Path) -> dict[str, str]:
    """Return an environment in which OpenCode keeps to ``home`` and off the network.

    Nothing of the caller's environment is in it but PATH: no provider's key, no password.
    """
    return {
        "PATH": os.environ.get("PATH", os.defpath),
        "HOME": str(home),
        "USERPROFILE": str(home),
        "XDG_DATA_HOME": str(home / "data"),
        "XDG_CONFIG_HOME": str(home / "config"),
        "XDG_STATE_HOME": str(home / "state"),
        "XDG_CACHE_HOME": str(home / "cache"),
        "OPENCODE_DISABLE_MODELS_FETCH": "1",
        "OPENCODE_DISABLE_AUTOUPDATE": "1",
        "OPENCODE_DISABLE_LSP_DOWNLOAD": "1",
        "OPENCODE_DISABLE_DEFAULT_PLUGINS": "1",
        "OPENCODE_DISABLE_SHARE": "1",
        # Else each new home installs @opencode-ai/plugin, which takes longer than most tests.
        "npm_config_offline": "true",
    }


class RealServer:
    """A running ``opencode serve``; ``stop`` it.

    Attributes:
        url: Its address, ``"http://127.0.0.1:4096"``.
        port: The port in it.
        pid: Its process id.
        password: What it asks for, None for nothing.
        project: Its working directory, where its sessions live.
        home: Its home directory.
    """

    def __init__(
        self,
        program: Path,
        folder: Path,
        *,
        password: str | None = None,
        environ: Mapping[str, str] | None = None,
    ) -> None:
        """Start it and wait until it answers.

        Args:
            program: From ``install()``.
            folder: An empty directory; gets ``home`` and ``project``.
            password: What it shall ask for; None for nothing.
            environ: More variables for it.
        """
        self.password = password
        self.home, self.project = (folder / "home").resolve(), (folder / "project").resolve()
        self.home.mkdir(parents=True)
        self.project.mkdir()
        environment = {**offline_environment(self.home), **(environ or {})}
        if password is not None:
            environment["OPENCODE_SERVER_PASSWORD"] = password
        self._process = subprocess.Popen(
            [program, "serve", "--port", "0", "--hostname", "127.0.0.1"],
            cwd=self.project,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        self.pid = self._process.pid
        self.url = ""
        self._said: list[str] = []
        self._listening = threading.Event()  # or it has ended
        self._reader = threading.Thread(target=self._read, name=f"test-opencode-{self.pid}")
        self._reader.start()
        try:
            self._listening.wait(_START_SECONDS)
            assert self.url, f"OpenCode did not start: {''.join(self._said)}"
            self.port = urlsplit(self.url).port
            self._wait_until_healthy()
        except BaseException:
            self.stop()
            raise

    def _read(self) -> None:
        assert self._process.stdout is not None
        with self._process.stdout as output:
            for line in output:
                self._said.append(line.decode(errors="replace"))
                match = re.search(r"listening on (http://\S+)", self._said[-1])
                if match:
                    self.url = match[1]
                    self._listening.set()
        self._listening.set()

    def _wait_until_healthy(self) -> None:
        # It accepts a moment before it can answer, and never answers what came in that moment.
        until = time.monotonic() + _START_SECONDS
        while True:
            try:
                if self.request("GET", "/global/health", timeout=1.0)[0] == 200:
                    return
            except OSError:
                assert time.monotonic() < until, "OpenCode did not answer"

    # Asking OpenCode itself...

    def request(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        query: Mapping[str, str] | None = None,
        timeout: float = 30.0,
    ) -> tuple[int, Any]:
        """Return the status and the JSON value that OpenCode's own API answers with.

        The value is None when the answer is not JSON (its web page, an empty body).
        """
        connection = http.client.HTTPConnection("127.0.0.1", urlsplit(self.url).port, timeout)
        headers = {"Content-Type": "application/json"}
        if self.password is not None:
            pair = base64.b64encode(f"opencode:{self.password}".encode()).decode()
            headers["Authorization"] = f"Basic {pair}"
        target = path + (f"?{urlencode(query, quote_via=quote)}" if query else "")
        content = None if body is None else json.dumps(body).encode()
        with contextlib.closing(connection):
            connection.request(method, target, content, headers)
            response = connection.getresponse()
            answer = response.read()
            is_json = (response.getheader("Content-Type") or "").startswith("application/json")
            return response.status, json.loads(answer) if is_json else None

    def sessions(self) -> dict[str, dict[str, Any]]:
        """Return all of OpenCode's sessions by id, as its own JSON."""
        status, listed = self.request("GET", "/session", query={"limit": "-1"})
        assert status == 200
        return {session["id"]: session for session in listed}

    def session(self, session_id: str) -> dict[str, Any] | None:
        """Return one session as OpenCode's own JSON, None if it has none of this id."""
        status, session = self.request("GET", f"/session/{quote(session_id, safe='')}")
        assert status in (200, 404)
        return session if status == 200 else None

    def create(self, title: str, **fields: Any) -> str:
        """Create a session behind the client's back; returns its id."""
        status, session = self.request("POST", "/session", {"title": title, **fields})
        assert status == 200
        return session["id"]

    # Ending...

    @property
    def is_running(self) -> bool:
        """Whether the process is there."""
        return self._process.poll() is None

    def kill(self) -> None:
        """End it without warning, as a crash does, and wait until it is gone."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        self._process.wait(30)

    def stop(self) -> None:
        """End it; more than once is fine."""
        self.kill()
        self._reader.join(30)
