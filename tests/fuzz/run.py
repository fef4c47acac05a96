"""Fuzzing outside of the test suite.

Without any tool, random inputs by a seed, over all targets or some::

    python -m tests.fuzz.run --inputs 1000000 --seed 1
    python -m tests.fuzz.run --inputs 10000 --target frames --target opencode_json

Input number N of a target is made from (seed, target, N) alone, so a failure names the three and is
replayed by ``--seed SEED --target TARGET --only N``; ``--input HEX`` runs one input as it is.

Guided by coverage, with atheris (``pip install atheris``; Linux, CPython up to 3.13), one target at
a time. What follows ``--`` goes to libFuzzer; a folder keeps the inputs that reached something
new::

    python -m tests.fuzz.run --atheris --target frames -- -runs=1000000 corpus/frames

A crash leaves a file ``crash-...``; ``--input $(xxd -p -c0 crash-...)`` runs it again here.
"""

from __future__ import annotations

import argparse
import faulthandler
import importlib.util
import logging
import random
import sys
import threading
import time
from collections.abc import Callable

_LONGEST = 160
_HANG = 60.0
"""Seconds after which an input that has not ended hangs."""

_WEIGHTS = {
    "gateway_bytes": 0.1,
    "client_bytes": 0.1,
    "session_store": 0.1,
    "files": 0.3,
    "gateway_before_token": 0.3,
    "handshake": 0.3,
    "opencode_runs": 0.3,
}
"""Shares of the inputs, where a target gets fewer than others: each needs a connection or so."""


def made(seed: int, target: str, number: int) -> bytes:
    """Return input number ``number``."""
    chance = random.Random(f"{seed}/{target}/{number}")
    return chance.randbytes(chance.randrange(chance.choice([8, 32, _LONGEST])))


class Failures:
    """Exceptions of threads, which would otherwise be lost."""

    def __init__(self) -> None:
        self.seen: list[str] = []

    def __enter__(self) -> Failures:
        self._hook = threading.excepthook
        threading.excepthook = lambda args: self.seen.append(f"{args.thread}: {args.exc_value!r}")
        return self

    def __exit__(self, *ignored: object) -> None:
        threading.excepthook = self._hook


def fuzz(name: str, numbers: range, seed: int, *, watched: bool = False) -> list[str]:
    """Run a target on many inputs; returns a line for each that failed.

    Args:
        name: The target's.
        numbers: The inputs'.
        seed: Decides what they are.
        watched: Whether an input that hangs ends the process, showing where.
    """
    from tests.fuzz.targets import opened

    wrong = []
    with Failures() as failures, opened(name) as target:
        for number in numbers:
            data = made(seed, name, number)
            if watched:
                faulthandler.dump_traceback_later(_HANG, exit=True, file=sys.__stderr__)
            try:
                target(data)
            except Exception as error:
                wrong.append(f"--seed {seed} --target {name} --only {number}: {error!r:.500}")
                if len(wrong) >= 5:
                    break
    if watched:
        faulthandler.cancel_dump_traceback_later()
    return wrong + [f"--target {name}: {each}" for each in failures.seen]


def _share(inputs: int, names: list[str]) -> dict[str, int]:
    """Spread inputs over targets."""
    total = sum(_WEIGHTS.get(name, 1.0) for name in names)
    return {name: round(inputs * _WEIGHTS.get(name, 1.0) / total) + 1 for name in names}


def _random(names: list[str], options: argparse.Namespace) -> int:
    begun, failed, done = time.monotonic(), 0, 0
    for name, count in _share(options.inputs, names).items():
        numbers = range(count)
        if options.only is not None:
            numbers = range(options.only, options.only + 1)
        since = time.monotonic()
        wrong = fuzz(name, numbers, options.seed, watched=options.watched)
        done += len(numbers)
        took = time.monotonic() - since
        print(f"{name}: {len(numbers)} inputs in {took:.1f} s, {len(wrong)} failed", flush=True)
        for line in wrong:
            print(f"  FAILED {line}", flush=True)
        failed += len(wrong)
    print(f"{done} inputs in {time.monotonic() - begun:.1f} s, {failed} failed")
    return 1 if failed else 0


def _atheris(name: str, arguments: list[str]) -> int:
    import atheris

    with atheris.instrument_imports(include=["opencode_sync"]):
        from tests.fuzz.targets import TARGETS
    target: Callable[[bytes], None] = TARGETS[name]()
    atheris.Setup([sys.argv[0], *arguments], target)
    atheris.Fuzz()
    return 0


def main(arguments: list[str] | None = None) -> int:
    """See the module's text."""
    parser = argparse.ArgumentParser(description="Fuzzing outside of the test suite.")
    parser.add_argument("--inputs", type=int, default=100_000, help="over all targets together")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--target", action="append", default=[])
    parser.add_argument("--only", type=int, help="the number of the only input")
    parser.add_argument("--input", help="one input, in hexadecimal digits")
    parser.add_argument("--atheris", action="store_true")
    parser.add_argument(
        "--watched", action="store_true", help="show where an input hangs, after a minute, and end"
    )
    parser.add_argument("rest", nargs="*", help="for libFuzzer")
    options = parser.parse_args(arguments)
    if options.atheris:
        if len(options.target) != 1:
            parser.error("--atheris needs exactly one --target")
        if importlib.util.find_spec("atheris") is None:
            parser.exit(2, "--atheris needs the package of that name: pip install atheris\n")
        return _atheris(options.target[0], options.rest)
    from loguru import logger

    from tests.fuzz.targets import TARGETS, opened

    logger.remove()
    logging.getLogger("dotenv").setLevel(logging.CRITICAL)  # says that nonsense is nonsense
    if unknown := set(options.target) - set(TARGETS):
        parser.error(f"--target {unknown.pop()} is none of {', '.join(TARGETS)}")
    names = options.target or list(TARGETS)
    if options.input is not None:
        for name in names:
            with opened(name) as target:
                target(bytes.fromhex(options.input))
        return 0
    return _random(names, options)


if __name__ == "__main__":
    sys.exit(main())
