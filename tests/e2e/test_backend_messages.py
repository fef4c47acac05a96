"""Prompts, agents, providers and credentials, on a real OpenCode with a stub for its model.

What the backend answers is compared with what OpenCode itself says over HTTP.
"""

from __future__ import annotations

import json
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from opencode_sync.deadline import Deadline
from opencode_sync.errors import error_code_name
from opencode_sync.gateway.backends.base import BackendError
from opencode_sync.gateway.backends.opencode.backend import OpenCodeBackend
from opencode_sync.wire import ipc_pb2
from opencode_sync.wire import oc_auth_pb2 as auth_pb
from tests.e2e.opencode_server import RealServer
from tests.e2e.stub_model import KEY, StubModel

pytestmark = pytest.mark.e2e

MODEL = {"provider_id": "stub", "model_id": "stub-1"}


def soon(seconds=60.0):
    return Deadline.after(seconds)


@pytest.fixture(scope="module")
def stub():
    model = StubModel()
    yield model
    model.stop()


@pytest.fixture(scope="module")
def server(opencode_program, stub, tmp_path_factory):
    """A server of this module's own, whose provider "stub" is the stub model."""
    folder = tmp_path_factory.mktemp("opencode-with-model")
    running = RealServer(
        opencode_program, folder, environ={"OPENCODE_CONFIG_CONTENT": stub.config()}
    )
    yield running
    running.stop()


@pytest.fixture
def backend(server):
    backend = OpenCodeBackend(server.url)
    backend.start()
    yield backend
    backend.close()


@pytest.fixture
def session_id(server):
    return server.create("prompts")


def send(backend, session_id, text, *, agent=None, seconds=60.0, **model):
    return backend.send_message(
        session_id, text, agent=agent, deadline=soon(seconds), **{**MODEL, **model}
    )


def refusal(function, *args, **options):
    with pytest.raises(BackendError) as caught:
        function(*args, **options)
    return error_code_name(caught.value.code), caught.value.message


def stored(server, session_id):
    """Return OpenCode's own messages of a session, by id."""
    status, messages = server.request("GET", f"/session/{session_id}/message")
    assert status == 200
    return {message["info"]["id"]: message for message in messages}


# Answers...


def test_the_answer_is_the_message_that_opencode_stored(backend, server, session_id):
    answer = send(backend, session_id, "[[think:let me see]] [[say:Here you are.]]").assistant
    own = stored(server, session_id)[answer.id]
    info = own["info"]
    assert answer.text == "Here you are."
    assert (answer.role, answer.session_id) == ("assistant", session_id)
    assert (answer.model.provider_id, answer.model.model_id) == ("stub", "stub-1")
    assert answer.cost == info["cost"] == 0.00012
    tokens, cache = info["tokens"], info["tokens"]["cache"]
    assert (answer.tokens.input, answer.tokens.output) == (tokens["input"], tokens["output"])
    assert (answer.tokens.cache_read, answer.tokens.cache_write) == (cache["read"], cache["write"])
    assert (answer.tokens.input, answer.tokens.cache_read) == (60, 40)
    assert not answer.HasField("error")
    kinds = [part.WhichOneof("part") for part in answer.parts]
    assert kinds == [part["type"].replace("-", "_") for part in own["parts"]]
    assert kinds[:3] == ["step_start", "reasoning", "text"]
    assert answer.parts[1].reasoning.text == "let me see"
    assert answer.parts[2].text.id == own["parts"][2]["id"]


def test_the_prompt_carries_an_id_of_ours_that_sorts_with_opencodes(backend, server, session_id):
    for number in range(3):
        send(backend, session_id, f"[[say:answer {number}]]")
    ids = list(stored(server, session_id))
    assert len(ids) == 6
    assert ids == sorted(ids)


def test_after_a_tool_the_answer_is_the_last_message(backend, server, session_id):
    prompt = '[[tool:bash {"command": "echo from the shell", "description": "d"}]]'
    answer = send(backend, session_id, prompt).assistant
    assert answer.text.startswith("The tool said: from the shell")
    assert answer.id == list(stored(server, session_id))[-1]


def test_an_agent_is_used_and_none_is_the_default(backend, server, session_id):
    planned = send(backend, session_id, "plan it", agent="plan").assistant.id
    built = send(backend, session_id, "build it").assistant.id
    unnamed = send(backend, session_id, "any", agent="").assistant.id
    messages = stored(server, session_id)
    agents = [messages[each]["info"]["agent"] for each in (planned, built, unnamed)]
    assert agents == ["plan", "build", "build"]


def test_two_prompts_at_once_in_one_session_each_get_their_own_answer(backend, session_id):
    barrier = threading.Barrier(4)

    def ask(number):
        barrier.wait(30)
        return send(backend, session_id, f"[[say:answer to {number}]]").assistant.text

    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(ask, range(4)))
    assert answers == [f"answer to {number}" for number in range(4)]


def test_the_answer_is_ours_when_another_program_prompts_the_same_session(
    backend, server, stub, session_id
):
    stub.hold()
    with ThreadPoolExecutor(2) as pool:
        ours = pool.submit(send, backend, session_id, "[[slow]] [[say:ours]]")
        assert stub.slow_started.acquire(timeout=30)
        body = {"parts": [{"type": "text", "text": "[[say:theirs]]"}]}
        theirs = pool.submit(server.request, "POST", f"/session/{session_id}/message", body)
        while len(stored(server, session_id)) < 3:  # until it waits behind ours
            assert not theirs.done()
        stub.release()
        assert ours.result(60).assistant.text == "Slowly ours"
        assert theirs.result(60)[0] == 200


# Failures of the model...


def test_a_refused_key_is_in_the_answer_and_the_key_is_not(backend, session_id):
    error = send(backend, session_id, "[[401]]").assistant.error
    assert error.WhichOneof("error") == "api"
    assert (error.api.name, error.api.status, error.api.code) == ("APIError", 401, "stub_401")
    assert error.api.message == "stub error 401 for [key]"
    assert json.loads(error.api.cause)["error"]["type"] == "stub"
    assert error.api.headers["content-type"] == "application/json"
    assert KEY not in str(error)


def test_a_rate_limit_that_passes_is_waited_for(backend, session_id):
    answer = send(backend, session_id, "[[429-once]] [[say:at last]]").assistant
    assert answer.text == "at last"
    assert not answer.HasField("error")


def test_a_cut_connection_does_not_lose_the_answer(backend, session_id):
    assert "Here it is" in send(backend, session_id, "[[cut]] [[say:Here it is]]").assistant.text


@pytest.mark.parametrize("prompt", ["[[slow]]", "[[500]]"])
def test_the_deadline_aborts_the_run(backend, server, stub, session_id, prompt):
    stub.hold()
    began = time.monotonic()
    code, words = refusal(send, backend, session_id, prompt, seconds=2)
    assert time.monotonic() - began < 8
    assert code == "SERVER_ERROR"
    assert words.startswith("the answer took longer than 2 s; the run was aborted")
    assert server.request("GET", "/session/status") == (200, {})
    stub.release()
    assert send(backend, session_id, "[[say:and on]]").assistant.text == "and on"


def test_a_run_that_somebody_else_aborts_says_so(backend, server, stub, session_id):
    stub.hold()
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(send, backend, session_id, "[[slow]]")
        assert stub.slow_started.acquire(timeout=30)
        assert server.request("POST", f"/session/{session_id}/abort") == (200, True)
        error = running.result(30).assistant.error
    assert error.aborted.name == "MessageAbortedError"
    assert error.aborted.message


def test_close_aborts_what_runs(server, stub, session_id):
    backend = OpenCodeBackend(server.url)
    stub.hold()
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(send, backend, session_id, "[[slow]]")
        assert stub.slow_started.acquire(timeout=30)
        backend.close()
        assert running.exception(10) is None or isinstance(running.exception(), BackendError)
    assert server.request("GET", "/session/status") == (200, {})


def test_nothing_else_waits_for_a_slow_answer(backend, stub, session_id):
    stub.hold()
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(send, backend, session_id, "[[slow]] [[say:done]]")
        assert stub.slow_started.acquire(timeout=30)
        began = time.monotonic()
        for _ in range(5):
            assert backend.list_sessions(deadline=soon())
        assert time.monotonic() - began < 5
        assert not running.done()
        stub.release()
        assert running.result(30).assistant.text == "Slowly done"


# What is refused before OpenCode gets it...


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"provider_id": "stup"}, 'provider_id: OpenCode has no connected provider "stup"'),
        ({"model_id": "stub-3"}, 'model_id: stub has no model "stub-3"; did you mean "stub-'),
        ({"agent": "primary"}, 'agent: OpenCode has no agent "primary"; it has "build", '),
        ({"agent": "buidl"}, 'did you mean "build"?'),
    ],
)
def test_what_does_not_exist_is_named_with_what_does(backend, server, session_id, changes, words):
    code, said = refusal(send, backend, session_id, "hello", **changes)
    assert code == "INVALID_MESSAGE"
    assert words in said
    assert stored(server, session_id) == {}


@pytest.mark.parametrize("unknown", ["ses_doesnotexist", "ses_" + "a" * 300])
def test_an_unknown_session_is_named(backend, unknown):
    code, said = refusal(send, backend, unknown, "hello")
    assert code == "INVALID_MESSAGE"
    assert said.startswith("session_id: OpenCode has no session ses_")


def test_five_megabytes_of_prompt_arrive_whole(backend, stub, session_id):
    text = "x" * 5_000_000 + " [[say:read it all]]"
    assert send(backend, session_id, text).assistant.text == "read it all"
    assert len(json.dumps(stub.requests[-1])) > 5_000_000


# Agents, providers, credentials...


def test_agents_are_opencodes_own(backend, server):
    agents = backend.list_agents(deadline=soon())
    status, own = server.request("GET", "/agent")
    assert status == 200
    assert [agent.name for agent in agents] == [each["name"] for each in own]
    for agent, each in zip(agents, own, strict=True):
        assert agent.mode == each["mode"]
        assert agent.description == each.get("description", "")
        assert agent.prompt == each.get("prompt", "")
        assert (agent.native, agent.hidden) == (each["native"], each.get("hidden", False))
        assert [(rule.permission, rule.pattern) for rule in agent.permission.rules] == [
            (rule["permission"], rule["pattern"]) for rule in each["permission"]
        ]


def test_a_key_that_was_set_counts_from_then_on(backend, server):
    _, before = server.request("GET", "/provider")
    assert backend.connected_providers(deadline=soon()) == before["connected"]
    assert "groq" not in before["connected"]
    auth = auth_pb.OcAuth(api=auth_pb.OcApiAuth(key="gsk_0123456789abcdefghij"))
    answer = backend.set_auth("groq", auth, deadline=soon())
    assert answer == auth_pb.OcAuth(api=auth_pb.OcApiAuth(type="api"))
    assert "groq" in backend.connected_providers(deadline=soon())
    assert backend.get_auth("groq", deadline=soon()).api.key == "\N{HORIZONTAL ELLIPSIS}ghij"


def test_a_new_key_does_not_disturb_a_run(backend, server, stub, session_id):
    stub.hold()
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(send, backend, session_id, "[[slow]] [[say:undisturbed]]")
        assert stub.slow_started.acquire(timeout=30)
        auth = auth_pb.OcAuth(api=auth_pb.OcApiAuth(key="xai-0123456789abcdefghij"))
        backend.set_auth("xai", auth, deadline=soon())
        assert "xai" in backend.connected_providers(deadline=soon())
        stub.release()
        assert running.result(30).assistant.text == "Slowly undisturbed"
    assert "xai" in backend.connected_providers(deadline=soon())
    _, listed = server.request("GET", "/config/providers")
    assert "xai" in [each["id"] for each in listed["providers"]]


def test_a_login_is_kept_and_found(backend):
    login = auth_pb.OcOAuth(refresh="r" * 30, access="a" * 30, expires=1795400000000)
    answer = backend.set_auth("openai", auth_pb.OcAuth(oauth=login), deadline=soon())
    assert answer.oauth == auth_pb.OcOAuth(type="oauth", expires=1795400000000)
    found = backend.get_auth("openai", deadline=soon()).oauth
    assert (found.refresh, found.expires) == ("\N{HORIZONTAL ELLIPSIS}rrrr", 1795400000000)
    status = backend.oauth_status("openai", deadline=soon())
    assert status.status == ipc_pb2.OAUTH_STATUS_TYPE_CONFIGURED


def test_a_provider_without_credentials(backend):
    assert backend.get_auth("mistral", deadline=soon()) is None
    status = backend.oauth_status("mistral", deadline=soon())
    assert status.status == ipc_pb2.OAUTH_STATUS_TYPE_NOT_CONFIGURED
    assert "mistral" in status.reason


def test_the_keys_of_a_server_of_our_own_are_found(
    opencode_program, spawn_environment, stub, project
):
    environ = {
        **spawn_environment,
        "OPENCODE_CONFIG_CONTENT": stub.config(),
        "GROQ_API_KEY": "gsk_0123456789abcdefghijklmnop",
        "OPENAI_API_KEY": "changeme",
    }
    (project / ".env").write_text("XAI_API_KEY='xai-0123456789abcdefghijklmnop'\n")
    backend = OpenCodeBackend(executable=opencode_program, environ=environ, directory=project)
    try:
        backend.spawn_server(None, deadline=soon())
        result = backend.sync_auth_keys(skip_oauth_providers=True, deadline=soon())
        assert [each.provider for each in result.synced] == ["groq", "xai"]
        assert [each.provider for each in result.validation_failed] == ["openai"]
        assert not result.failed
        assert backend.get_auth("xai", deadline=soon()).api.key.endswith("mnop")
        assert {"groq", "xai"} <= set(backend.connected_providers(deadline=soon()))
        session = backend.create_session("spawned", deadline=soon())
        assert send(backend, session.id, "[[say:hello]]").assistant.text == "hello"
    finally:
        backend.close()
