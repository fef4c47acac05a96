"""The logger of this package: off by default, as loguru asks of libraries, and lazy.

Importing loguru takes longer than importing the rest of the client, and most scripts never log. So
``logger`` is a stand-in: as long as nobody has imported loguru, nobody can listen, and what is
logged goes nowhere. Once the program imports loguru, before or after this package, the stand-in is
loguru's logger, switched off for this package until ``enable_logging`` or
``loguru.logger.enable("opencode_sync")`` switches it on.

A line that cannot be logged, because a sink, a patcher or a field of the program's raises, is lost,
and that is all: no call and no connection may end another way because somebody listens.
"""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from types import ModuleType
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from importlib.abc import Loader
    from importlib.machinery import ModuleSpec

    from loguru import logger

__all__ = ["can_be_heard", "complain", "logger"]

_PACKAGE = "opencode_sync"
_LIBRARY = "loguru"
_HERE = 1  # frames between loguru and the place that has logged
_FAILED = (
    "logging raised {}, in a sink, a patcher or a field of the program's: lines of this package's "
    "log are lost; mend it there"
)


class _Silence:
    """Takes what this package logs while nobody can listen."""

    def bind(self, **_: object) -> Self:
        return self

    opt = bind

    def log(self, *_: object, **__: object) -> None:
        """Drop a message."""

    debug = info = warning = error = exception = log


class _Guarded:
    """loguru's logger, whose failures reach nobody who logs."""

    __slots__ = ("_its",)

    def __init__(self, its: Any) -> None:
        self._its = its

    def bind(self, **fields: object) -> _Guarded:
        return _Guarded(self._its.bind(**fields))

    def opt(self, *, exception: object) -> _Guarded:
        return _Guarded(self._its.opt(exception=exception, depth=_HERE))

    def log(self, level: str, message: str, *args: object, **named: object) -> None:
        try:
            self._its.log(level, message, *args, **named)
        except Exception as error:  # noqa: BLE001 - a guest may raise anything
            _stand_in.report(error)

    # ``partial`` adds no frame, so that a record names the place that has logged.
    debug = property(lambda self: partial(self.log, "DEBUG"))
    info = property(lambda self: partial(self.log, "INFO"))
    warning = property(lambda self: partial(self.log, "WARNING"))
    error = property(lambda self: partial(self.log, "ERROR"))
    exception = property(lambda self: self.opt(exception=True).error)


class _StandIn:
    """loguru's logger as soon as there is one."""

    def __init__(self) -> None:
        self._logger: _Silence | _Guarded = _Silence()
        self._complaints: set[str] = set()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._logger, name)

    def adopt(self) -> None:
        """Be loguru's logger from now on, and silent by default."""
        from loguru import logger as its

        from opencode_sync.masking import mask_record

        its.disable(_PACKAGE)
        # For the sinks of the program's own as well.
        self._logger = _Guarded(its.patch(mask_record).opt(depth=_HERE))

    def can_be_heard(self) -> bool:
        """Return whether somebody may be listening."""
        return isinstance(self._logger, _Guarded)

    def report(self, error: Exception) -> None:
        """Say that a line is lost."""
        self.complain(_FAILED.format(type(error).__name__))

    def complain(self, text: str) -> None:
        """Say on standard error that the log fails; once each text."""
        if text in self._complaints:
            return
        self._complaints.add(text)
        with suppress(OSError, ValueError, AttributeError):  # closed, or there is none
            sys.stderr.write(f"{_PACKAGE}: {text}\n")


class _Watch:
    """Waits for the program to import loguru, and has the logger adopted before it is used.

    By its shape a finder of ``sys.meta_path``: ``importlib.abc``, which has a base class for them,
    takes 8 ms to import.
    """

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname != _LIBRARY:
            return None
        self.end()
        spec = importlib.util.find_spec(_LIBRARY)
        if spec is None or spec.loader is None:
            sys.meta_path.insert(0, self)  # not there; perhaps later
            return None
        spec.loader = _AdoptingLoader(spec.loader)  # type: ignore[assignment]
        return spec

    def end(self) -> None:
        """Watch no longer."""
        if self in sys.meta_path:
            sys.meta_path.remove(self)


class _AdoptingLoader:
    """Loads loguru as it would have been, and then has its logger adopted."""

    def __init__(self, loader: Loader) -> None:
        self._loader = loader

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return self._loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        assert module.__spec__ is not None
        module.__spec__.loader = module.__loader__ = self._loader  # as if we had not been here
        self._loader.exec_module(module)
        _stand_in.adopt()


_stand_in = _StandIn()
can_be_heard = _stand_in.can_be_heard
complain = _stand_in.complain
if not TYPE_CHECKING:
    logger = _stand_in

_watch = _Watch()
sys.meta_path.insert(0, _watch)
if _LIBRARY in sys.modules:
    _watch.end()
    _stand_in.adopt()
