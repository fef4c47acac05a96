"""Who may import whom, as the design draws it, read from the source files themselves."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

import opencode_sync

_PACKAGE = "opencode_sync"
_ROOT = Path(opencode_sync.__file__).parent

# What stands on top; nothing below may know of it.
_TOP = ("gateway", "launching", "cli", "desktop", "testing")

# A leaf that everybody may use.
_EVERYWHERE = ("logger",)

# Who may know of one of them all the same.
_SHOWN = {("", "launching")}


@dataclass(frozen=True)
class Import:
    """One import statement's target."""

    module: str
    """Within the package its path without the package's name ("transport.base"); else as it is."""
    own: bool
    """Whether it belongs to the package."""
    typing: bool
    """Whether only type checkers see it."""
    lazy: bool
    """Whether it happens when a function runs."""


def _module_name(path: Path, root: Path) -> str:
    parts = path.relative_to(root).with_suffix("").parts
    return ".".join(part for part in parts if part != "__init__")


def imports_of(source: str, modules: set[str], *, here: str = "") -> set[Import]:
    """Return everything that this source imports, at whatever depth.

    Args:
        source: Python code.
        modules: The package's own modules, to tell ``from package import module`` from a name.
        here: The package, within ours, that relative imports start from.
    """
    found: set[Import] = set()

    def add(full: str, names: list[str], *, typing: bool, lazy: bool) -> None:
        first, _, rest = full.partition(".")
        if first != _PACKAGE:
            found.add(Import(full, False, typing, lazy))
            return
        inner = [f"{rest}.{name}".strip(".") for name in names]
        targets = {name for name in inner if name in modules} or {rest}
        found.update(Import(target, True, typing, lazy) for target in targets)

    def visit(node: ast.AST, *, typing: bool, lazy: bool) -> None:
        if isinstance(node, ast.Import):
            for alias in node.names:
                add(alias.name, [], typing=typing, lazy=lazy)
        elif isinstance(node, ast.ImportFrom):
            start = ".".join([_PACKAGE, *here.split(".")][: -node.level + 1 or None])
            base = node.module or ""
            full = f"{start.strip('.')}.{base}".strip(".") if node.level else base
            add(full, [alias.name for alias in node.names], typing=typing, lazy=lazy)
        elif isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test):
            for child in node.body:
                visit(child, typing=True, lazy=lazy)
            for child in node.orelse:
                visit(child, typing=typing, lazy=lazy)
        else:
            lazy = lazy or isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
            for child in ast.iter_child_nodes(node):
                visit(child, typing=typing, lazy=lazy)

    visit(ast.parse(source), typing=False, lazy=False)
    return found


def _read() -> dict[str, set[Import]]:
    files = {_module_name(path, _ROOT): path for path in _ROOT.rglob("*.py")}
    return {
        name: imports_of(
            path.read_text("utf-8"),
            set(files),
            here=name if path.stem == "__init__" else name.rpartition(".")[0],
        )
        for name, path in files.items()
    }


IMPORTS = _read()


def _inside(module: str, room: str) -> bool:
    return module == room or module.startswith(room + ".")


def _strays(room: str, allowed: tuple[str, ...], typing: tuple[str, ...] = ()) -> Iterator[str]:
    """What the modules of a room import of the package beyond what they may."""
    for name, imports in IMPORTS.items():
        if not _inside(name, room):
            continue
        for each in imports:
            if not each.own or any(
                _inside(each.module, target) for target in (*allowed, *_EVERYWHERE)
            ):
                continue
            if each.typing and any(_inside(each.module, target) for target in typing):
                continue
            yield f"{name} imports {each.module or _PACKAGE}"


def test_all_modules_were_read() -> None:
    assert {"client", "transport.websocket", "wire.ipc_pb2", "gateway", ""} <= set(IMPORTS)
    assert any(each.own for each in IMPORTS["client"])


@pytest.mark.parametrize(
    ("room", "allowed", "typing"),
    [
        ("wire", ("wire",), ()),
        ("deadline", (), ()),
        ("cancel", (), ()),
        ("varint", (), ()),
        ("lazy", (), ()),
        ("printable", (), ()),
        ("logs", ("errors", "log_sinks", "log_thread"), ()),
        ("log_sinks", ("errors", "masking", "printable"), ()),
        ("masking", ("printable", "secret_shapes"), ()),
        ("secret_shapes", (), ()),
        ("errors", ("wire",), ()),
        ("transport", ("transport", "errors", "wire", "deadline"), ("config", "options")),
        ("operations", ("operations", "errors", "varint", "wire"), ()),
        ("times", ("errors", "wire"), ()),
        ("messages", ("errors", "times", "wire"), ()),
        ("types", ("messages", "times", "wire"), ()),
        ("extras", ("errors",), ()),
        ("metrics", ("metrics", "errors", "extras", "log_thread"), ("state",)),
        ("telemetry", ("errors",), ()),
        ("metered", ("call", "errors", "metrics", "sender"), ()),
        (
            "tracing",
            ("call", "calls", "cancel", "errors", "operations", "telemetry", "wire"),
            (),
        ),
        ("notifier", ("deadline", "own_threads"), ()),
        ("keeper", ("deadline", "log_thread"), ()),
        ("reconnect", ("errors",), ()),
        ("retry_plan", ("reconnect",), ()),
        ("push_buffer", ("deadline", "wire"), ()),
        ("run_events", ("errors", "messages", "times", "wire"), ()),
        ("prompts", ("errors", "messages", "run_events", "wire"), ()),
        (
            "testing",
            (
                "testing",
                "lazy",
                "gateway",
                "client",
                "config",
                "call",
                "reconnect",
                "operations",
                "prompts",
                "transport",
                "deadline",
                "errors",
                "masking",
                "wire",
            ),
            ("metrics", "options"),
        ),
        # Imported by every pytest run of an environment that has the package.
        ("testing.plugin", ("testing",), ("client", "gateway")),
        ("clause", (), ()),
        ("log_thread", ("deadline", "notifier", "own_threads"), ()),
        ("state", ("clause", "deadline", "errors", "log_thread", "metrics", "notifier"), ()),
        ("pending", ("call", "errors"), ()),
        (
            "call",
            ("cancel", "deadline", "errors", "log_thread", "notifier", "operations"),
            (),
        ),
        (
            "gateway",
            (
                "gateway",
                "wire",
                "transport.base",
                "transport.memory",
                "deadline",
                "errors",
                "runtime_file",
                "extras",
                "masking",
                "telemetry",
                "varint",
            ),
            (),
        ),
    ],
)
def test_a_room_imports_only_what_it_may(
    room: str, allowed: tuple[str, ...], typing: tuple[str, ...]
) -> None:
    assert list(_strays(room, allowed, typing)) == []


def test_nothing_below_knows_what_stands_on_top() -> None:
    wrong = [
        f"{name} imports {each.module}"
        for name, imports in IMPORTS.items()
        if name != "__main__" and not any(_inside(name, room) for room in _TOP)
        for each in imports
        if each.own
        and any(_inside(each.module, room) for room in _TOP)
        and (name, each.module) not in _SHOWN
    ]
    assert wrong == []


def test_launching_knows_the_gateway_only_while_it_runs() -> None:
    """So the client, and whoever imports the package, does without the gateway's packages."""
    of_gateway = [each for each in IMPORTS["launching"] if _inside(each.module, "gateway")]
    assert of_gateway
    assert all(each.lazy or each.typing for each in of_gateway)


def test_telemetry_is_imported_by_those_who_use_it_only() -> None:
    """Everybody else names its types, or imports it when it is asked for."""
    users = {
        name
        for name, imports in IMPORTS.items()
        for each in imports
        if _inside(each.module, "opentelemetry") and not (each.typing or each.lazy)
    }
    assert users == {"telemetry", "tracing", "gateway.tracing"}
    importers = {
        name
        for name, imports in IMPORTS.items()
        for each in imports
        if each.own and each.module in users and not each.lazy
    }
    assert importers <= users


def test_one_connection_knows_nothing_of_the_client_around_it() -> None:
    around = ("client", "futures", "supervisor", "reconnect", "providers")
    parts = ("connection", "answers", "handshake", "sender", "liveness", "deadlines", "binding")
    wrong = [
        f"{name} imports {each.module}"
        for name in parts
        for each in IMPORTS[name]
        if each.own and any(_inside(each.module, room) for room in around)
    ]
    assert wrong == []


def test_no_module_imports_the_package_that_it_is_part_of() -> None:
    """That would work or not depending on who was imported first."""
    wrong = [
        name
        for name, imports in IMPORTS.items()
        if name and not any(_inside(name, room) for room in ("cli", "testing", "desktop"))
        for each in imports
        if each.own and each.module == ""
    ]
    assert wrong == []


def test_loguru_is_imported_by_nobody_but_the_log() -> None:
    """It takes longer than all the rest; ``opencode_sync.logger`` is one that waits for it."""
    those = {
        name for name, imports in IMPORTS.items() if any(x.module == "loguru" for x in imports)
    }
    assert those == {"logger", "logs", "log_sinks", "cli.log"}


def test_imports_at_import_time_make_no_circle() -> None:
    waiting = {
        name: {each.module for each in imports if each.own and not each.typing and not each.lazy}
        for name, imports in IMPORTS.items()
    }
    while ready := [name for name, targets in waiting.items() if not targets & (set(waiting))]:
        for name in ready:
            del waiting[name]
    assert waiting == {}, "these modules import each other"


@pytest.mark.parametrize(
    ("package", "rooms"),
    [
        ("websocket", ("transport.websocket", "transport.upgrade")),
        ("requests", ("config_http",)),
        ("websockets", ("gateway",)),
        ("psutil", ("gateway",)),
        ("urllib3", ("gateway", "config_http")),
        ("sqlite3", ("gateway.backends",)),
        ("typer", ("cli",)),
        ("click", ("cli",)),
        ("rich", ("cli",)),
        ("PySide6", ("desktop",)),
        (
            "opentelemetry",
            (
                "metrics",
                "telemetry",
                "tracing",
                "client",
                "launching",
                "gateway",
                "cli",
                "testing.fake",
            ),
        ),
        ("tenacity", ("reconnect", "gateway")),
        ("pytest", ("testing",)),
        ("asyncio", ()),
    ],
)
def test_a_dependency_is_used_where_it_belongs(package: str, rooms: tuple[str, ...]) -> None:
    users = {
        name
        for name, imports in IMPORTS.items()
        for each in imports
        if not each.own and _inside(each.module, package)
    }
    assert {name for name in users if not any(_inside(name, room) for room in rooms)} == set()


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("import opencode_sync.client", Import("client", True, False, False)),
        ("from opencode_sync import client", Import("client", True, False, False)),
        ("from opencode_sync import IpcClient", Import("", True, False, False)),
        ("from opencode_sync.client import IpcClient", Import("client", True, False, False)),
        ("from ..client import IpcClient", Import("client", True, False, False)),
        ("from . import link", Import("gateway.link", True, False, False)),
        ("import websockets.sync.server", Import("websockets.sync.server", False, False, False)),
        ("if TYPE_CHECKING:\n    import requests", Import("requests", False, True, False)),
        ("def f():\n    import requests", Import("requests", False, False, True)),
        (
            "class C:\n    def f(self):\n        try:\n            import requests\n"
            "        except ImportError:\n            pass",
            Import("requests", False, False, True),
        ),
    ],
)
def test_the_reader_of_imports_sees_every_form(source: str, expected: Import) -> None:
    assert imports_of(source, {"client", "gateway.link"}, here="gateway") == {expected}
