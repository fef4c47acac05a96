"""A fake client is a client: the same names with the same signatures, for programs and checkers."""

from __future__ import annotations

import inspect
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from opencode_sync import InMemoryMetrics, IpcClient, IpcClientOptions, IpcConfig, IpcConfigError
from opencode_sync.futures import IpcFutures
from opencode_sync.testing import (
    FakeIpcClient,
    Fault,
    FaultPlan,
    FaultyTransports,
    Recorder,
    replay,
)
from opencode_sync.transport.base import Transport
from tests.support.operations import SAMPLES, Sample

PUBLIC = [name for name in dir(IpcClient) if not name.startswith("_")]
FUTURES = [name for name in dir(IpcFutures) if not name.startswith("_")]

CONFIG = IpcConfig(4096, "any token")


def test_the_names_that_are_compared_are_there() -> None:
    assert {"list_sessions", "prompt", "stream_prompt", "events", "connect"} <= set(PUBLIC)
    assert {"list_sessions", "prompt"} <= set(FUTURES)


@pytest.mark.parametrize("name", PUBLIC)
def test_a_public_name_is_the_same(name: str) -> None:
    """Of the same kind, and with the same parameters, defaults and annotations."""
    real, fake = (
        inspect.getattr_static(IpcClient, name),
        inspect.getattr_static(FakeIpcClient, name),
    )
    assert type(fake) is type(real)
    if callable(real):
        assert inspect.signature(fake) == inspect.signature(real)


@pytest.mark.parametrize("name", FUTURES)
def test_a_future_is_made_the_same_way(name: str) -> None:
    fake = getattr(FakeIpcClient().futures, name)
    real = getattr(IpcClient().futures, name)
    assert inspect.signature(fake) == inspect.signature(real)


def test_it_is_made_with_the_same_arguments() -> None:
    """So a test can put the class in the place of the other."""
    real = dict(inspect.signature(IpcClient).parameters)
    fake = dict(inspect.signature(FakeIpcClient).parameters)
    assert list(fake) == list(real)
    for name, parameter in real.items():
        assert (fake[name].default, fake[name].kind) == (parameter.default, parameter.kind), name


def test_a_transport_that_a_program_gives_is_not_used() -> None:
    def refuse(config: IpcConfig, options: IpcClientOptions) -> Transport:
        raise AssertionError("nothing but the fake's own backend is asked")

    with FakeIpcClient(CONFIG, transport_factory=refuse) as fake:
        assert fake.create_session("x").title == "x"


def test_other_clients_may_have_the_fakes_backend() -> None:
    """And whatever comes between: a recorder, faults."""
    with FakeIpcClient() as fake:
        faults = FaultyTransports(fake.transport_factory, FaultPlan([Fault.delay(0.0)], seed=1))
        with IpcClient(CONFIG, transport_factory=faults) as client:
            session = client.create_session("theirs")
        assert [each.id for each in fake.list_sessions()] == [session.id]
        assert [each.operation for each in fake.calls] == ["list_sessions"]
    assert len(faults.injected) > 0


def test_a_recorder_may_be_around_a_fake(tmp_path: Path) -> None:
    with (
        FakeIpcClient() as fake,
        Recorder(tmp_path / "r.json", fake.transport_factory) as recorder,
        IpcClient(CONFIG, transport_factory=recorder) as client,
    ):
        client.create_session("recorded")
    with replay(tmp_path / "r.json") as conversation, conversation.client() as client:
        assert client.create_session("recorded").title == "recorded"


def test_it_makes_other_clients_of_its_backend(tmp_path: Path) -> None:
    """With what comes between, if anything, and the settings of a client."""
    metrics = InMemoryMetrics()
    with FakeIpcClient() as fake:
        with fake.client(metrics=metrics, directory=tmp_path) as client:
            assert type(client) is IpcClient
            client.create_session("theirs")
        recorder = Recorder(tmp_path / "r.json", fake.transport_factory)
        with recorder, fake.client(transport_factory=recorder) as client:
            client.create_session("recorded")
        assert [each.title for each in fake.sessions] == ["theirs", "recorded"]
    assert metrics.snapshot().operations["create_session"].succeeded == 1
    with replay(tmp_path / "r.json") as conversation, conversation.client() as client:
        assert client.create_session("recorded").title == "recorded"


def test_what_is_no_policy_is_refused_as_by_a_client() -> None:
    with pytest.raises(IpcConfigError, match="reconnect is of type str"):
        FakeIpcClient(reconnect="soon")  # type: ignore[arg-type]
    with FakeIpcClient(reconnect=None) as fake:
        assert fake.is_connected


def test_it_is_accepted_where_a_client_is() -> None:
    def program(client: IpcClient) -> str:
        return client.create_session("x").title

    with FakeIpcClient() as fake:
        assert isinstance(fake, IpcClient)
        assert program(fake) == "x"


# Of answers to questions there has to be a question first: see test_fake_prompts.
@pytest.mark.parametrize(
    "sample",
    [sample for sample in SAMPLES if not sample.method.startswith("reply_")],
    ids=lambda sample: sample.method,
)
def test_every_operation_works_and_gives_what_the_client_gives(sample: Sample) -> None:
    """Whatever the client can be asked for, blocking and as a future."""
    arguments, kind = list(sample.arguments), type(sample.result)
    with FakeIpcClient() as fake:
        if arguments and arguments[0] == "ses_1":
            arguments[0] = fake.add_session().id
        result = getattr(fake, sample.method)(*arguments, **sample.keywords)
        # A list of the sample's stands for any sequence.
        assert isinstance(result, Sequence if sample.method == "get_provider_status" else kind)
        if sample.method != "delete_session":
            future = getattr(fake.futures, sample.method)(*arguments, **sample.keywords)
            assert isinstance(future.result(10), type(result))
        assert {call.operation for call in fake.calls} == {sample.operation}


def test_importing_the_room_brings_nothing_along() -> None:
    """Each name is loaded when it is used."""
    script = (
        "import sys, opencode_sync; before = set(sys.modules); import opencode_sync.testing; "
        "print(*sorted(set(sys.modules) - before)); "
        "print(all(hasattr(opencode_sync.testing, name) for name in opencode_sync.testing.__all__),"
        " set(dir(opencode_sync.testing)) >= set(opencode_sync.testing.__all__),"
        " hasattr(opencode_sync.testing, 'nothing'))"
    )
    root = str(Path(inspect.getfile(IpcClient)).parents[1])
    ended = subprocess.run(
        [sys.executable, "-c", script],
        env={**os.environ, "PYTHONPATH": root},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert ended.stdout.splitlines() == ["opencode_sync.testing", "True True False"]


def test_names_of_the_room_are_all_there() -> None:
    import opencode_sync.testing

    assert set(dir(opencode_sync.testing)) >= set(opencode_sync.testing.__all__)
    for name in opencode_sync.testing.__all__:
        assert getattr(opencode_sync.testing, name) is not None
    with pytest.raises(AttributeError, match="nothing"):
        opencode_sync.testing.nothing  # noqa: B018
