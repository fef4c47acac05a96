"""The stand-in for loguru's logger, piece by piece; ``test_light_import`` has whole programs."""

from __future__ import annotations

import importlib
import sys
from types import ModuleType

import pytest

from opencode_sync import logger as logs


@pytest.fixture
def without_loguru(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a program that has not imported it."""
    for name in [each for each in sys.modules if each.partition(".")[0] == "loguru"]:
        monkeypatch.delitem(sys.modules, name)


def test_while_nobody_can_listen_every_message_is_dropped() -> None:
    stand_in = logs._StandIn()
    stand_in.bind(request_id=1).opt(exception=True).warning("a {}", "message")
    stand_in.log("DEBUG", "another")
    for level in ("debug", "info", "warning", "error", "exception"):
        getattr(stand_in, level)("{}", level)
    with pytest.raises(AttributeError):
        stand_in.add(print)  # no place for a sink: enable_logging is


@pytest.mark.usefixtures("without_loguru")
def test_the_import_of_loguru_is_noticed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    stand_in, watch = logs._StandIn(), logs._Watch()
    monkeypatch.setattr(logs, "_stand_in", stand_in)
    monkeypatch.setattr(sys, "meta_path", [watch, *sys.meta_path])
    assert watch.find_spec("json", None) is None
    module: ModuleType = importlib.import_module("loguru")
    assert stand_in.can_be_heard()
    assert type(stand_in._logger._its) is type(module.logger)
    assert watch not in sys.meta_path
    assert not isinstance(module.__loader__, logs._AdoptingLoader)
    watch.end()  # again


def test_as_long_as_loguru_is_not_there_it_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    watch = logs._Watch()
    monkeypatch.setattr(sys, "meta_path", [watch])
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert watch.find_spec("loguru", None) is None
    assert sys.meta_path == [watch]
