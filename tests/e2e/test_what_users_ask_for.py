"""What users of OpenCode's clients ask for or suffer from, and how it is here: a test for each.

The numbers are those of docs/why.md, which has the threads. On a real OpenCode with a stub for its
model, through client, WebSocket and gateway; where a real one cannot be made to show it, on a
scripted one. What no client can cure has no test:

====  ==========================  ==================================================================
 no.  thread                      why
====  ==========================  ==================================================================
   2  anomalyco/opencode#2266     who generates and publishes a package is its owners' decision
   3  opencode-sdk-python#49      the warning it asks for belongs in another project's README; what
                                  else is asked for there is tested below
  17  openchamber/openchamber     another program leaves its server behind; ours is tested below
      #1889
  18  anomalyco/opencode#23607    the folder in the *body* of OpenCode's own call is for OpenCode to
                                  read; the folder for each session is tested below
  19  anomalyco/opencode#10456    an option of OpenCode's own command line; the result by schema is
                                  tested below
====  ==========================  ==================================================================
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest

import opencode_sync
from opencode_sync import (
    IpcClient,
    IpcClientOptions,
    IpcConfig,
    IpcPromptError,
    IpcServerError,
    OtherEvent,
    PermissionAsked,
    PermissionReply,
    RetryScheduled,
    TextDelta,
    ToolUpdate,
    launch,
)
from opencode_sync.deadline import Deadline
from opencode_sync.gateway import Gateway, GatewayLimits, OpenCodeBackend
from opencode_sync.gateway.backends.opencode.http import client as opencode_http
from opencode_sync.types import (
    MessageTokens,
    OcApiAuth,
    OcAuth,
    event_properties,
    message_error,
    message_text,
    message_tokens,
)
from tests.e2e.event_cutter import EventCutter
from tests.e2e.opencode_server import VERSION, RealServer, offline_environment
from tests.e2e.scripted_opencode import HTML, SESSION, ScriptedOpenCode
from tests.e2e.stub_model import KEY, StubModel
from tests.support.leaks import eventually
from tests.unit.gateway_opencode.http_server import Answer

pytestmark = pytest.mark.e2e

WAIT = 60.0
HELLO = "Hello from the stub model."
PASSWORD = "a-password-of-these-tests"
BASH = '[[tool:bash {"command":"echo from the shell","description":"d"}]]'
"""A command, which the servers of these tests are configured to ask about."""
ALLOWED = "The tool said: from the shell\n"
SCHEMA = {"type": "object", "properties": {"n": {"type": "number"}}, "required": ["n"]}

Connect = Callable[..., IpcClient]


@pytest.fixture(scope="module")
def stub() -> Iterator[StubModel]:
    model = StubModel()
    yield model
    model.stop()


def configuration(stub: StubModel) -> str:
    """The stub for a model, a provider whose key is not known yet, and questions about commands."""
    keyless = stub.provider("keyless")["keyless"]
    del keyless["options"]["apiKey"]
    providers = {**stub.provider(), "keyless": keyless}
    return stub.config(provider=providers, permission={"bash": "ask"})


@pytest.fixture(scope="module")
def server(
    opencode_program: Path, stub: StubModel, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RealServer]:
    """A server with a password, so that each of these tests shows that it is sent."""
    folder = tmp_path_factory.mktemp("opencode-as-asked-for")
    environ = {"OPENCODE_CONFIG_CONTENT": configuration(stub)}
    running = RealServer(opencode_program, folder, password=PASSWORD, environ=environ)
    yield running
    running.stop()


@contextmanager
def connected(
    url: str, *, options: IpcClientOptions | None = None, limits: GatewayLimits | None = None
) -> Iterator[IpcClient]:
    """A client of a gateway of its own, over a WebSocket."""
    options = options or IpcClientOptions(default_prompt_timeout=WAIT)
    backend = OpenCodeBackend(url, password=PASSWORD)
    with (
        Gateway(backend, limits=limits or GatewayLimits()) as gateway,
        IpcClient(IpcConfig(gateway.port, gateway.auth_token), options=options) as client,
    ):
        yield client


@pytest.fixture(scope="module")
def client(server: RealServer) -> Iterator[IpcClient]:
    with connected(server.url) as client:
        yield client


@pytest.fixture
def session_id(client: IpcClient) -> str:
    return client.create_session("as asked for").id


@pytest.fixture
def scripted() -> Iterator[ScriptedOpenCode]:
    opencode = ScriptedOpenCode()
    yield opencode
    opencode.stop()


@pytest.fixture
def environ(tmp_path: Path, stub: StubModel) -> dict[str, str]:
    """An environment for servers that are spawned."""
    home = tmp_path / "home"
    home.mkdir()
    return offline_environment(home) | {"OPENCODE_CONFIG_CONTENT": stub.config()}


def stored(server: RealServer, session_id: str) -> list[dict[str, Any]]:
    """OpenCode's own messages of a session."""
    status, messages = server.request("GET", f"/session/{session_id}/message")
    assert status == 200
    assert isinstance(messages, list)
    return messages


def busy(server: RealServer) -> Any:
    """OpenCode's own sessions that are not idle."""
    return server.request("GET", "/session/status")[1]


def test_the_list_and_the_tests_have_the_same_numbers() -> None:
    """All of the list, but the one that no client can cure."""
    text = (Path(__file__).parents[2] / "docs" / "why.md").read_text(encoding="utf-8")
    listed = [int(number) for number in re.findall(r"^\| (\d+) \|", text, re.MULTILINE)]
    assert listed == list(range(1, 25))
    tested = {int(match[1]) for name in globals() if (match := re.match(r"test_(\d\d)_", name))}
    assert set(listed) - tested == {2}
    assert tested <= set(listed)


# A Python client that is current, and honest


def test_01_a_python_client_of_todays_opencode(client: IpcClient, server: RealServer) -> None:
    """anomalyco/opencode#4031: the Python client there is lags behind OpenCode by a year."""
    assert client.get_backend_info().server_version == VERSION
    session = client.create_session("current")
    assert client.prompt(session.id, "Hi").text == HELLO
    with client.stream_prompt(session.id, "Hi") as stream:
        assert "".join(stream.text_stream) == HELLO
    texts = [message_text(message) for message in client.list_messages(session.id)]
    assert texts == ["Hi", HELLO, "Hi", HELLO]
    assert client.delete_session(session.id)
    assert server.session(session.id) is None


def test_03_a_thin_client_that_starts_opencode_and_hands_on_what_it_is_given(
    opencode_program: Path, environ: dict[str, str], project: Path, stub: StubModel
) -> None:
    """anomalyco/opencode-sdk-python#49: arguments get lost on the way; start OpenCode instead."""
    with launch(project, discover=False, executable=opencode_program, environ=environ) as client:
        session = client.create_session("a title of mine")
        assert client.get_session(session.id).title == "a title of mine"
        asked = client.prompt(
            session.id, "Hi", model="stub/stub-2", agent="plan", system="Speak like a pirate."
        )
        user = client.list_messages(session.id)[0].user
        children = psutil.Process().children(recursive=True)
        (started,) = [
            each
            for each in children
            if "serve" in each.cmdline()[1:2] and each.cwd() == str(project)
        ]
        (port,) = {each.laddr.port for each in started.net_connections() if not each.raddr}
        with pytest.raises(urllib.error.HTTPError, match="401"):  # its password is ours alone
            urllib.request.urlopen(f"http://127.0.0.1:{port}/session", timeout=WAIT)
    assert not started.is_running()
    assert (asked.messages[0].assistant.model.model_id, user.agent) == ("stub-2", "plan")
    assert "Speak like a pirate." in json.dumps(stub.requests[-1]["messages"])


def test_04_the_calls_for_which_people_fell_back_to_plain_http(
    client: IpcClient, server: RealServer, session_id: str
) -> None:
    """anomalyco/opencode-sdk-python#43: where the package has no call, they wrote requests."""
    client.update_session(session_id, title="renamed")
    real = server.session(session_id)
    assert real is not None
    assert client.get_session(session_id).title == real["title"] == "renamed"
    agents = server.request("GET", "/agent")[1]
    assert [agent.name for agent in client.list_agents()] == [agent["name"] for agent in agents]
    providers = server.request("GET", "/config/providers")[1]["providers"]
    models = {(each["id"], model) for each in providers for model in each["models"]}
    assert {(each.provider_id, each.id) for each in client.list_models().models} == models
    assert client.abort_session(session_id) is True


def test_05_the_model_that_was_chosen_is_the_model_that_answers(
    client: IpcClient, server: RealServer, stub: StubModel, session_id: str
) -> None:
    """anomalyco/opencode-sdk-python#42: another model than the chosen one answers, unnoticed."""
    for number, name in enumerate(["stub-2", "stub-1", "stub-2"]):
        text = f"Hi, {number} of those who choose"
        if number == 1:
            client.send_message(session_id, text, model_id=name, provider_id="stub")
        else:
            client.prompt(session_id, text, model=f"stub/{name}")
        (asked,) = [
            body["model"]
            for body in stub.requests
            if body.get("tools") and text in json.dumps(body["messages"][-1])
        ]
        own = stored(server, session_id)[-1]["info"]
        assert (asked, own["providerID"], own["modelID"]) == (name, "stub", name)


def test_06_streaming_works_with_a_chosen_model_and_events_have_their_own_names(
    client: IpcClient, stub: StubModel
) -> None:
    """anomalyco/opencode-sdk-python#46: events cannot be read, and models not be chosen."""
    gate = stub.gate("row 6")
    with client.events(types=["session.*", "message.part.delta"]) as events:
        session = client.create_session("streamed")
        text = "[[words:3]] [[gate:row 6]]"
        with client.stream_prompt(session.id, text, model="stub/stub-2") as stream:
            for word in ("w0 ", "w1 ", "w2"):  # each is there before the next is written
                gate.let()
                assert next(stream.text_stream) == word
            result = stream.result(WAIT)
        seen = [events.next_event(WAIT)]
        while seen[-1].type != "session.idle":
            seen.append(events.next_event(WAIT))
    assert result.messages[0].assistant.model.model_id == "stub-2"
    assert {"session.created", "session.status", "message.part.delta"} <= {e.type for e in seen}
    assert {event.session_id for event in seen} == {session.id}
    (created,) = [event for event in seen if event.type == "session.created"]
    assert created.event.session_created.session.title == "streamed"


def test_07_the_answer_is_what_the_call_returns(
    client: IpcClient, server: RealServer, session_id: str
) -> None:
    """anomalyco/opencode#2168: an empty answer, and is it the answer or something to poll for?"""
    text = f"[[think:well]] {BASH}"
    result = client.prompt(session_id, text, on_permission="once")
    own = [each for each in stored(server, session_id) if each["info"]["role"] == "assistant"]
    assert [message.assistant.id for message in result.messages] == [e["info"]["id"] for e in own]
    assert (result.text, result.finish) == (ALLOWED, "stop")
    assert [call.output for call in result.tool_calls] == ["from the shell\n"]
    sent = client.send_message(session_id, "Hi", model_id="stub-1", provider_id="stub")
    assert message_text(sent) == HELLO


def test_07_an_empty_answer_is_an_error_and_not_an_answer(scripted: ScriptedOpenCode) -> None:
    """The same: what came was nothing, with status 200."""
    scripted.routes[f"/session/{SESSION}/message"] = Answer(content=b"")
    with connected(scripted.url) as client:
        with pytest.raises(IpcPromptError) as caught:
            client.prompt(SESSION, "Hi")
        assert caught.value.kind == "server"
        with pytest.raises(IpcServerError, match="JSON that cannot be read"):
            client.send_message(SESSION, "Hi", model_id="one", provider_id="stub")


def test_08_two_messages_to_one_session_get_their_own_answers(
    client: IpcClient, server: RealServer, session_id: str
) -> None:
    """anomalyco/opencode#1895: both calls return the answer to the later message."""
    futures = [
        client.futures.prompt(session_id, f"[[say:answer {n}]] [[pause:20]]") for n in range(3)
    ]
    with client.stream_prompt(session_id, "[[say:answer 3]]") as stream:
        sent = client.send_message(
            session_id, "[[say:answer 4]]", model_id="stub-1", provider_id="stub"
        )
        results = [*(future.result(WAIT) for future in futures), stream.result(WAIT)]
    assert [result.text for result in results] == [f"answer {n}" for n in range(4)]
    assert message_text(sent) == "answer 4"
    parents = {
        each["info"]["id"]: each["info"].get("parentID") for each in stored(server, session_id)
    }
    for result in results:
        assert {parents[each.assistant.id] for each in result.messages} == {result.user_message_id}


def test_09_a_run_outlives_every_ordinary_time_out(
    server: RealServer, stub: StubModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """anomalyco/opencode#15555, #20119, #49044: after 300 s the client's HTTP library gives up.

    Nobody waits that long here: all time-outs of the way are set to a second, a run is held for
    longer than any of them, and the one HTTP call that it hangs on has the caller's time and more.
    """
    allowed = []
    real = opencode_http.OpenCodeHttp.call

    def call(self: Any, method: str, path: str, *, deadline: Deadline, **more: Any) -> Any:
        if method == "POST" and path.endswith("/message"):
            allowed.append(deadline.remaining())
        return real(self, method, path, deadline=deadline, **more)

    monkeypatch.setattr(opencode_http.OpenCodeHttp, "call", call)
    options = IpcClientOptions(
        default_request_timeout=1,
        connection_timeout=1,
        authentication_timeout=1,
        default_prompt_timeout=1,
        shutdown_timeout=1,
        ping_interval=0.5,
        ping_timeout=1,
    )
    limits = GatewayLimits(handshake_timeout=1, request_timeout=1, prompt_timeout=1, send_timeout=1)
    stub.hold()
    with connected(server.url, options=options, limits=limits) as client:
        first, second = server.create("held"), server.create("held, and streamed")
        held = client.futures.prompt(first, "[[slow]] [[say:but sure]]", timeout=4000)
        with client.stream_prompt(second, "[[slow]] [[say:but sure]]", timeout=4000) as stream:
            for _ in range(2):
                assert stub.slow_started.acquire(timeout=WAIT)
            assert not wait([held], 2.5).done
            assert not stream.done
            stub.release()
            assert "".join(stream.text_stream) == held.result(WAIT).text == "Slowly but sure"
    assert len(allowed) == 2
    assert min(each for each in allowed if each is not None) > 3900


def test_10_an_unknown_model_is_named_with_the_nearest_known_one(
    client: IpcClient, server: RealServer, session_id: str
) -> None:
    """anomalyco/opencode#47162, #33766: a bare status 500, the hint is nowhere to be seen."""
    with pytest.raises(IpcPromptError, match=r"stub-11.*did you mean.*stub-1") as caught:
        client.prompt(session_id, "Hi", model="stub/stub-11")
    assert (caught.value.kind, caught.value.retryable) == ("unknown_model", False)
    with pytest.raises(IpcServerError, match=r"stbu.*did you mean.*stub") as refused:
        client.send_message(session_id, "Hi", model_id="stub-1", provider_id="stbu")
    assert refused.value.code_name == "INVALID_MESSAGE"
    assert stored(server, session_id) == []


# Events


def test_11_what_happened_while_the_events_were_cut_off_is_read_again(server: RealServer) -> None:
    """anomalyco/opencode#25657, #29544, #19584: what is sent during a reconnection is lost."""
    assert server.port is not None
    cutter = EventCutter(server.port)
    try:
        with connected(cutter.url) as client, client.events() as events:
            before = server.create("before the cut")
            while events.next_event(WAIT).session_id != before:
                pass
            assert cutter.cut(keep_away=True) == 1
            meanwhile = server.create("while nobody could listen")
            cutter.let_in()
            kinds = []
            while True:
                event = events.next_event(WAIT)
                kinds.append(event.type)
                if event.session_id == meanwhile:
                    break
    finally:
        cutter.stop()
    assert "gateway.resubscribed" in kinds  # it says that there was a gap
    assert (event.type, event.replayed) == ("session.updated", True)
    assert event.event.session_updated.session.title == "while nobody could listen"


# Nothing hangs


def test_12_a_run_that_nobody_watches_does_not_wait_for_a_permission(
    client: IpcClient, server: RealServer, session_id: str
) -> None:
    """anomalyco/opencode#16367, #31820, #20864: a run without a terminal waits for ever."""
    refused = client.prompt(session_id, BASH)
    (call,) = refused.tool_calls
    assert call.status == "error"
    assert "Nobody is there to answer" in refused.text  # the model goes on with that
    sent = client.send_message(session_id, BASH, model_id="stub-1", provider_id="stub")
    assert "Nobody is there to answer" in message_text(sent)
    assert busy(server) == {}


def test_12_permissions_are_given_by_the_call_that_needs_them(
    client: IpcClient, session_id: str
) -> None:
    """The same, and open-mercato/cezar#1032: by a word or by a function, for this run alone."""
    asked: list[PermissionAsked] = []

    def decide(question: PermissionAsked) -> PermissionReply | str:
        asked.append(question)
        return "once" if len(asked) == 1 else PermissionReply("reject", "enough of that")

    assert client.prompt(session_id, BASH, on_permission="once").text == ALLOWED
    decided = client.prompt(session_id, f"{BASH} {BASH}", on_permission=decide)  # type: ignore[arg-type]
    assert [call.status for call in decided.tool_calls] == ["completed", "error"]
    assert "enough of that" in decided.text
    assert [question.patterns for question in asked] == [("echo from the shell",)] * 2
    assert client.prompt(session_id, BASH).tool_calls[0].status == "error"  # not the next one


def test_13_a_permission_that_a_subagent_asks_for_does_not_hang_the_run(
    client: IpcClient, server: RealServer, session_id: str
) -> None:
    """anomalyco/opencode#6573: a run begun over HTTP hangs when it starts subagents."""
    # The marker of the subagent must not be read as one of the prompt's own.
    below = BASH.replace("[", "\\u005b").replace("]", "\\u005d").replace('"', '\\"')
    task = f'{{"description":"sub","prompt":"{below}","subagent_type":"general"}}'
    with client.stream_prompt(
        session_id, f"[[tool:task {task}]]", on_permission="once", timeout=WAIT
    ) as stream:
        (asked,) = [event for event in stream if isinstance(event, PermissionAsked)]
        assert "from the shell" in stream.result().text
    child = server.session(asked.session_id)
    assert child is not None
    assert child["parentID"] == session_id
    refused = client.prompt(session_id, f"[[tool:task {task}]]", timeout=WAIT)
    assert "Nobody is there to answer" in refused.text
    assert busy(server) == {}


# Versions


def test_14_what_a_newer_opencode_sends_is_passed_on_or_passed_over(
    scripted: ScriptedOpenCode,
) -> None:
    """BloopAI/vibe-kanban#2794, hao-ai-lab/research-agent#173: a new event, and no more answers."""
    delta = {"messageID": "later", "partID": "p", "field": "text", "delta": "x", "new": 1}
    scripted.prelude = [
        ("session.teleported", {"to": {"planet": "Mars"}}),
        ("session.status", {"status": {"type": "dreaming"}}),
        ("message.part.delta", {"messageID": 7, "delta": None}),
        ("message.part.delta", delta),
    ]
    scripted.parts = [
        {"type": "hologram", "depth": 3},
        {"type": "text", "text": "Hello from 2030", "mood": "good"},
        {"type": "tool", "tool": "time-machine", "callID": "c", "state": {"status": "bending"}},
    ]
    scripted.info = {"variant": {"new": "shape"}, "vibes": []}
    with connected(scripted.url) as client:
        with client.events() as events, client.stream_prompt(SESSION, "Hi") as stream:
            run = list(stream)
            result = stream.result(WAIT)
            seen = [events.next_event(WAIT)]
            while seen[-1].event.session_status.status.WhichOneof("status") != "idle":
                seen.append(events.next_event(WAIT))
        assert client.prompt(SESSION, "Hi").text == "Hello from 2030"
    assert result.text == "Hello from 2030"
    assert "".join(event.text for event in run if isinstance(event, TextDelta)) == result.text
    for events_of in (seen, [each.event for each in run if isinstance(each, OtherEvent)]):
        (new,) = [event for event in events_of if event.type == "session.teleported"]
        assert event_properties(new)["to"] == {"planet": "Mars"}


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"name": "BadThing", "data": {"message": "no such luck"}}, "BadThing.*no such luck"),
        ({"_tag": "BadThing", "message": "no such luck"}, "BadThing.*no such luck"),
        ({"name": "BadThing", "message": "no such luck"}, "BadThing.*no such luck"),
        ({"error": {"name": "BadThing", "message": "no such luck"}}, "no such luck"),
        ({"success": False, "data": {}, "errors": [{"message": "no such luck"}]}, "no such luck"),
        ({"error": "no such luck"}, "no such luck"),
        ("no such luck", "status 418"),
        ([], "status 418"),
        (None, "status 418"),
    ],
    ids=["named", "tagged", "flat", "wrapped", "listed", "bare", "a text", "a list", "null"],
)
def test_15_an_error_of_any_shape_is_an_error_with_its_words(
    scripted: ScriptedOpenCode, body: Any, words: str
) -> None:
    """getpaseo/paseo#3601: client and server of different versions, whose errors differ."""
    scripted.routes["/session"] = Answer(body, 418)
    with connected(scripted.url) as client, pytest.raises(IpcServerError, match=words) as caught:
        client.list_sessions()
    assert caught.value.code_name == "SERVER_ERROR"


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        ({"name": "APIError", "data": {"message": "tough", "statusCode": 401}}, "provider_auth"),
        ({"name": "APIError", "message": "tough"}, "api"),
        ({"name": "ToughError", "data": {"message": "new"}}, "unknown"),
        ({"name": "ToughError", "data": {}}, "unknown"),
        ({"name": "tough", "data": ["new"]}, "unknown"),
        ({"message": "tough"}, "unknown"),
        ("tough", "unknown"),
        ([7], "unknown"),
    ],
    ids=["known", "flat", "new", "new and empty", "new and odd", "nameless", "a text", "a list"],
)
def test_15_a_failed_run_of_any_shape_is_a_failed_run(
    scripted: ScriptedOpenCode, error: Any, kind: str
) -> None:
    """The same, in the message of a run."""
    scripted.info = {"error": error}
    with connected(scripted.url) as client:
        with pytest.raises(IpcPromptError) as caught:
            client.prompt(SESSION, "Hi")
        sent = client.send_message(SESSION, "Hi", model_id="one", provider_id="stub")
    assert caught.value.kind == kind
    assert message_error(sent)
    if "tough" in str(error):
        assert "tough" in str(caught.value)


# Passwords, processes, folders


def test_16_the_password_is_sent_with_every_call_and_its_lack_is_said_at_once(
    client: IpcClient, server: RealServer, session_id: str, project: Path
) -> None:
    """anomalyco/opencode#5256, #31254, remorses/kimaki#139: not sent, and the client hangs."""
    with pytest.raises(urllib.error.HTTPError, match="401"):
        urllib.request.urlopen(f"{server.url}/session", timeout=WAIT)
    with client.events() as events:
        assert client.prompt(session_id, "Hi").text == HELLO
        assert events.next_event(WAIT).type
    for password in (None, "wrong"):
        began = time.monotonic()
        with (
            pytest.raises(IpcServerError, match="OPENCODE_SERVER_PASSWORD") as caught,
            launch(project, url=server.url, password=password, environ={}),
        ):
            pass
        assert caught.value.code_name == "AUTH_ERROR"
        assert time.monotonic() - began < 5


SCRIPT = """
from opencode_sync import launch
with launch({project!r}, discover=False, executable={program!r}, environ={environ!r}) as client:
    client.prompt(client.create_session().id, {text!r}, on_permission="once")
"""


def test_17_a_killed_program_takes_opencode_along_and_what_that_started(
    opencode_program: Path, environ: dict[str, str], project: Path
) -> None:
    """anomalyco/opencode#20899, #21628, #13001: `opencode serve` stays behind, and its tools."""
    note = project / "started"
    command = f"echo $PPID $$ > {note}.tmp; mv {note}.tmp {note}; sleep 1000"
    call = json.dumps({"command": command, "description": "d"})
    source = SCRIPT.format(
        project=str(project),
        program=str(opencode_program),
        environ=environ,
        text=f"[[tool:bash {call}]]",
    )
    path = {"PYTHONPATH": str(Path(opencode_sync.__file__).parents[1])}
    with subprocess.Popen([sys.executable, "-c", source], env=os.environ | path) as process:
        try:
            assert eventually(note.exists, WAIT)
            opencode, tool = map(psutil.Process, map(int, note.read_text().split()))
            assert "serve" in opencode.cmdline()
            assert tool.is_running()
        finally:
            process.kill()  # no time for it to clean up
    assert eventually(lambda: not opencode.is_running(), 30)
    if sys.platform == "linux":  # elsewhere nobody is told of what has a process group of its own
        assert eventually(lambda: not tool.is_running(), 30)


def test_18_each_session_has_the_folder_it_was_created_for(
    client: IpcClient, server: RealServer, tmp_path: Path
) -> None:
    """anomalyco/opencode#23607, #16448: a folder for each session of one server."""
    folders = [tmp_path.resolve() / name for name in ("shop", "Gärtnerei & Söhne")]
    for folder in folders:
        folder.mkdir()
        session = client.create_session("here", directory=folder)
        real = server.session(session.id)
        assert real is not None
        assert real["directory"] == session.directory == str(folder)
        listed = client.list_sessions(directory=folder)
        assert [each.id for each in listed] == [session.id]
    command = '[[tool:bash {"command":"pwd","description":"d"}]]'
    assert str(folder) in client.prompt(session.id, command, on_permission="once").text


# One result with everything


def test_19_a_result_that_fits_a_schema_or_an_error_that_says_so(
    client: IpcClient, session_id: str
) -> None:
    """anomalyco/opencode#9320, #10456: results for programs and not for people."""
    result = client.prompt(session_id, '[[structured:{"n": 7}]]', schema=SCHEMA)
    assert result.structured == {"n": 7}
    with pytest.raises(IpcPromptError) as caught:
        client.prompt(session_id, "words only", schema=SCHEMA)
    assert caught.value.kind == "structured_output"
    assert caught.value.partial is not None
    assert caught.value.partial.text == HELLO


def test_20_the_tokens_and_the_cost_of_the_whole_run(
    client: IpcClient, server: RealServer, session_id: str
) -> None:
    """anomalyco/opencode#3307: what did it cost? Not the last step: all of it."""
    result = client.prompt(session_id, f"{BASH} {BASH}", on_permission="once")
    own = [each["info"] for each in stored(server, session_id) if each["info"]["role"] != "user"]
    assert len(own) == 3
    assert result.cost == pytest.approx(sum(info["cost"] for info in own))
    assert result.cost > 0
    assert result.tokens == MessageTokens(input=180, output=45, cache_read=120, reasoning=15)
    assert result.tokens.input == sum(info["tokens"]["input"] for info in own)
    assert client.get_session(session_id).cost == pytest.approx(result.cost)


def test_21_the_web_page_is_no_answer(server: RealServer, project: Path) -> None:
    """anomalyco/opencode#39017: a path that is none answers 200 and HTML."""
    assert server.request("GET", "/nope/session") == (200, None)
    with (
        pytest.raises(IpcServerError, match="text/html instead of JSON"),
        launch(project, url=f"{server.url}/nope", password=PASSWORD),
    ):
        pass


def test_21_nor_is_it_one_where_a_version_lacks_a_call(scripted: ScriptedOpenCode) -> None:
    """The same, of one call among others."""
    for path in ("/session", f"/session/{SESSION}/message", "/global/event", "/agent"):
        scripted.routes[path] = HTML
    with connected(scripted.url) as client:
        calls: list[Callable[[], object]] = [
            client.list_sessions,
            client.create_session,
            client.list_agents,
            client.events,
            lambda: client.list_messages(SESSION),
            lambda: client.send_message(SESSION, "Hi", model_id="one", provider_id="stub"),
            lambda: client.prompt(SESSION, "Hi"),
        ]
        for call in calls:
            with pytest.raises(IpcServerError, match="text/html"):
                call()


def test_22_runs_use_the_providers_key_and_are_where_opencode_itself_looks(
    client: IpcClient, server: RealServer, stub: StubModel, session_id: str
) -> None:
    """Waishnav/devspace#302: on OpenCode's newer interface runs lose their provider's key."""
    client.prompt(session_id, "Hi", model="stub/stub-1")
    assert stub.keys[-1] == KEY
    key = "sk-set-by-the-client-0123456789"
    client.set_auth("keyless", OcAuth(api=OcApiAuth(key=key)))
    client.prompt(session_id, "Hi again", model="keyless/stub-2")
    assert stub.keys[-1] == key
    assert [each["parts"][0]["text"] for each in stored(server, session_id)[::2]] == [
        "Hi",
        "Hi again",
    ]


@pytest.mark.parametrize(
    ("text", "fields", "kind", "status"),
    [
        ("[[401]]", {}, "provider_auth", 401),
        ("[[400]]", {}, "api", 400),
        ("[[overflow]]", {}, "context_overflow", None),
        ("Hi", {"model": "stub/nope"}, "unknown_model", None),
        ("Hi", {"agent": "nope"}, "unknown_agent", None),
    ],
)
def test_23_no_failure_is_swallowed(
    client: IpcClient,
    session_id: str,
    text: str,
    fields: dict[str, str],
    kind: str,
    status: int | None,
) -> None:
    """anomalyco/opencode#32010: the call that returns at once says 204, whatever comes of it."""
    future = client.futures.prompt(session_id, text, **fields)  # type: ignore[arg-type]
    with client.stream_prompt(session_id, text, **fields) as stream:  # type: ignore[arg-type]
        for raises in (future.result, lambda: list(stream), stream.result):
            with pytest.raises(IpcPromptError) as caught:
                raises()
            assert (caught.value.kind, caught.value.status) == (kind, status)
            assert KEY not in str(caught.value)


def test_23_what_opencode_tries_again_in_silence_is_seen(
    client: IpcClient, session_id: str
) -> None:
    """The same: for a minute nothing is heard of a provider that refuses."""
    with client.stream_prompt(session_id, "[[429-once:1]] seen") as stream:
        (seen,) = [event for event in stream if isinstance(event, RetryScheduled)]
        result = stream.result()
    assert result.retries == [seen]
    assert seen.attempt == 1
    assert "429" in seen.message
    assert seen.next_at is not None


def test_24_what_was_written_by_hand_with_http_and_events(
    client: IpcClient, session_id: str
) -> None:
    """kalil0321/reverse-api-engineer#1: HTTP, events, permissions, usage: all of that by hand."""
    with client.stream_prompt(session_id, f"[[think:hm]] {BASH}", on_permission="once") as stream:
        steps = list(stream)
    result = stream.result()
    assert "".join(each.text for each in steps if isinstance(each, TextDelta)) == result.text
    tools = [each.call.status for each in steps if isinstance(each, ToolUpdate)]
    assert (tools[0], tools[-1]) == ("pending", "completed")
    assert result.text == ALLOWED
    assert result.tokens == sum(map(message_tokens, result.messages), MessageTokens())
    assert result.cost > 0


def test_24_many_at_once_on_one_client(client: IpcClient) -> None:
    """The same: and all of that for several runs side by side."""
    sessions = [client.create_session(f"side by side {n}").id for n in range(6)]

    def ask(number: int) -> str:
        with client.stream_prompt(sessions[number], f"[[say:to {number}]]") as stream:
            return "".join(stream.text_stream)

    with ThreadPoolExecutor(6) as pool:
        assert list(pool.map(ask, range(6))) == [f"to {n}" for n in range(6)]
