"""The logger of this package: off by default, as loguru asks of libraries, and lazy.

Importing loguru takes longer than importing the rest of the client, and most scripts never log. So
``logger`` is a stand-in: as long as nobody has imported loguru, nobody can listen, and what is
logged goes nowhere. Once the program imports loguru, before or after this package, the stand-in is
loguru's logger, switched off for this package until ``enable_logging`` or
``loguru.logger.enable("opencode_sync")`` switches it on.
"""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Sequence
from types import ModuleType
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from importlib.abc import Loader
    from importlib.machinery import ModuleSpec

    from loguru import logger

__all__ = ["logger"]

_PACKAGE = "opencode_sync"
_LIBRARY = "loguru"


class _Silence:
    """Takes what this package logs while nobody can listen."""

    def bind(self, **_: object) -> Self:
        return self

    opt = bind

    def log(self, *_: object, **__: object) -> None:
        """Drop a message."""

    debug = info = warning = error = exception = log


class _StandIn:
    """loguru's logger as soon as there is one."""

    def __init__(self) -> None:
        self._logger: object = _Silence()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._logger, name)

    def adopt(self) -> None:
        """Be loguru's logger from now on, and silent by default."""
        from loguru import logger as its

        from opencode_sync.masking import mask_record  # its shapes take 2 ms to compile

        its.disable(_PACKAGE)
        # For the sinks of the program's own as well.
        self._logger = its.patch(mask_record)


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
if not TYPE_CHECKING:
    logger = _stand_in

_watch = _Watch()
sys.meta_path.insert(0, _watch)
if _LIBRARY in sys.modules:
    _watch.end()
    _stand_in.adopt()
