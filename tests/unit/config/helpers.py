"""A token to look for, and the places where it must not be found."""

from __future__ import annotations

import pickle
import traceback
from collections.abc import Callable
from typing import Any

import pytest
from loguru import logger

from opencode_sync.config import SecretStr
from opencode_sync.errors import IpcConfigError

# Hidden here, so that what the log shows of it can only come from the package.
TOKEN = SecretStr("tok-9f8e7d6c5b4a-shibboleth")


class Log(list[Any]):
    """The lines that were logged."""

    @property
    def text(self) -> str:
        return "".join(str(each) for each in self)


def refused(
    call: Callable[[], object],
    *,
    field: str | None,
    says: tuple[str, ...],
    log: Log,
    source: str | None = None,
    hides: str = TOKEN,
) -> IpcConfigError:
    """Expect the call to fail as a setting should: naming it, with a remedy, without the token."""
    try:
        call()
    except IpcConfigError as raised:
        error = raised
        logger.exception("The call failed.")
    else:
        pytest.fail("nothing was refused")
    assert error.field == field
    if source is not None:
        assert error.source == source
    for words in says:
        assert words in error.message
    assert "\n" not in error.message
    assert str(pickle.loads(pickle.dumps(error))) == str(error)
    assert_hidden(error, hides)
    assert "The call failed." in log.text
    assert hides not in log.text
    return error


def assert_hidden(error: BaseException, secret: str) -> None:
    """The secret is nowhere in the error, its attributes, or what it was raised from or during."""
    assert secret not in "".join(traceback.format_exception(error))
    link: BaseException | None = error
    while link is not None:
        for shown in (str(link), repr(link), repr(link.args), repr(vars(link))):
            assert secret not in shown
        # What a decoder failed on is an attribute that repr() does not show.
        for name in ("doc", "object"):
            assert secret not in str(getattr(link, name, ""))
        link = link.__cause__ or link.__context__
