"""Files that go with a prompt: paths, contents in memory, and ``data:`` URLs."""

from __future__ import annotations

import base64
import mimetypes
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, TypeAlias

from opencode_sync.errors import IpcArgumentError
from opencode_sync.operations.checks import check_id, check_text
from opencode_sync.wire import ext_prompt_pb2

__all__ = ["PromptFile", "PromptFiles", "encode_files"]

_TEXT: Final = "text/plain"

# Everything else is text to the model: OpenCode reads only what is called plain text as such, and
# the guesses for source code are wild (".ts" is a video).
_NOT_TEXT: Final = ("image/", "audio/", "video/", "font/", "application/pdf", "application/zip")
_TEXT_SUFFIXES: Final = frozenset({".ts", ".mts", ".cts", ".svg"})


@dataclass(frozen=True, slots=True)
class PromptFile:
    """A file whose content is in memory.

    Attributes:
        data: The content. It goes with the prompt, so it should not be large; a file on disk is
            better given by its path.
        mime: Its type: ``"text/plain"``, ``"image/png"``, ...
        filename: What the model is told it is called.
    """

    data: bytes = field(repr=False)
    mime: str = _TEXT
    filename: str = ""


PromptFiles: TypeAlias = Sequence[str | os.PathLike[str] | PromptFile]
"""Paths, contents, and URLs that begin with ``data:``, in any mixture."""


def encode_files(files: object) -> list[ext_prompt_pb2.IpcPromptFile]:
    """Return the files as the wire has them.

    Raises:
        IpcArgumentError: one of them is none, or not there.
    """
    if isinstance(files, str | bytes | os.PathLike | PromptFile) or not isinstance(files, Sequence):
        raise IpcArgumentError(
            f"files is of type {type(files).__name__}; give a list of paths, PromptFile or "
            '"data:" URLs',
            field="files",
        )
    return [_encode(file) for file in files]


def _encode(file: object) -> ext_prompt_pb2.IpcPromptFile:
    if isinstance(file, PromptFile):
        return _from_memory(file)
    if isinstance(file, str) and file.startswith("data:"):
        return _from_url(file)
    if isinstance(file, str | os.PathLike) and isinstance(os.fspath(file), str):
        return _from_path(os.fspath(file))
    raise _wrong(
        f"holds a {type(file).__name__}", 'give paths, PromptFile(data, mime, name) or "data:" URLs'
    )


def _from_memory(file: PromptFile) -> ext_prompt_pb2.IpcPromptFile:
    if not isinstance(file.data, bytes | bytearray | memoryview):
        raise _wrong(f"holds a PromptFile of {type(file.data).__name__}", "give its data as bytes")
    check_id(file.mime, "files", "a type", 'such as "image/png"')
    check_text(file.filename, "files", "as filename")
    content = base64.b64encode(file.data).decode("ascii")
    return ext_prompt_pb2.IpcPromptFile(
        url=f"data:{file.mime};base64,{content}", mime=file.mime, filename=file.filename
    )


def _from_url(url: str) -> ext_prompt_pb2.IpcPromptFile:
    check_text(url, "files", 'which is a "data:" URL')
    head, comma, _ = url.partition(",")
    if not comma:
        raise _wrong(
            'holds a "data:" URL without a comma, and so without content',
            'give one such as "data:text/plain;base64,SGk="',
        )
    mime = head.removeprefix("data:").partition(";")[0].strip()
    return ext_prompt_pb2.IpcPromptFile(url=url, mime=mime or _TEXT)


def _from_path(name: str) -> ext_prompt_pb2.IpcPromptFile:
    shown = ascii(name)[:200]
    try:
        check_text(name, "files", "which is a path")
        path = Path(os.path.abspath(name))
        there, fits = path.exists(), path.is_file()
    except (OSError, ValueError) as error:  # too long, a null character, or no way to look
        if isinstance(error, IpcArgumentError):
            raise
        reason = getattr(error, "strerror", None) or "it is no path"
        raise _wrong(
            f"holds {shown}, which cannot be looked at ({reason})", "give the path of a file"
        ) from error
    if not fits:
        problem = "is no file" if there else "does not exist"
        raise _wrong(f"holds {shown}, which {problem}", "give the path of a file that does")
    return ext_prompt_pb2.IpcPromptFile(url=path.as_uri(), mime=_mime(path), filename=path.name)


def _mime(path: Path) -> str:
    guess = mimetypes.guess_type(path.name)[0] or _TEXT
    is_text = path.suffix.lower() in _TEXT_SUFFIXES or not guess.startswith(_NOT_TEXT)
    return _TEXT if is_text else guess


def _wrong(problem: str, remedy: str) -> IpcArgumentError:
    return IpcArgumentError(f"files {problem}; {remedy}", field="files")
