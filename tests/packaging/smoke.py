"""Run by the Python of an environment that has the package and its core dependencies only.

Not a test by itself: ``test_packages.py`` runs it. It prints a word for each thing that it found in
order, the last of them "done".
"""

import sys
import tempfile
from importlib.metadata import version
from pathlib import Path

EXTRAS = {"websockets", "urllib3", "psutil", "dotenv", "typer", "rich", "requests"}
EXTRAS |= {"PySide6", "opentelemetry", "pytest"}


def main() -> None:
    import opencode_sync

    assert opencode_sync.__version__ == version("opencode-sync-sdk")
    assert "site-packages" in opencode_sync.__file__
    print("imported")

    import opencode_sync.desktop
    import opencode_sync.testing
    import opencode_sync.transport.websocket
    import opencode_sync.types

    print("rooms")

    from opencode_sync import IpcClient, IpcConfig
    from opencode_sync.gateway import EmbeddedBackend, Gateway

    with tempfile.TemporaryDirectory() as folder:
        gateway = Gateway(EmbeddedBackend(Path(folder) / "sessions.db"))
        client = IpcClient(
            IpcConfig(port=65535, auth_token=gateway.auth_token),
            transport_factory=lambda config, options: gateway.connect_in_memory(),
        )
        with client:
            session = client.create_session("From the package")
            assert [each.title for each in client.list_sessions()] == ["From the package"]
            assert client.delete_session(session.id)
        gateway.stop()
    from opencode_sync.testing import FakeIpcClient

    with FakeIpcClient() as fake:
        fake.create_session("Made up")
        assert [each.title for each in fake.list_sessions()] == ["Made up"]
    print("round-trip")

    loaded = {name.partition(".")[0] for name in sys.modules}
    assert not loaded & EXTRAS, loaded & EXTRAS
    print("light")

    told = ""
    try:
        opencode_sync.launch().__enter__()
    except opencode_sync.IpcConfigError as error:
        told = str(error)
    assert "pip install 'opencode-sync-sdk[gateway]'" in told, told
    print("helpful")
    print("done")


if __name__ == "__main__":
    main()
