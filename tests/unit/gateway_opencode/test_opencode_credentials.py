"""Credentials: what is taken, what is shown of them, where they are looked up."""

from __future__ import annotations

import json
import os
from types import SimpleNamespace

import psutil
import pytest

from opencode_sync.deadline import Deadline
from opencode_sync.errors import error_code_name
from opencode_sync.gateway.backends.base import BackendError
from opencode_sync.gateway.backends.opencode.agents import read_agents
from opencode_sync.gateway.backends.opencode.auth import file as opencode_auth_file
from opencode_sync.gateway.backends.opencode.auth.file import auth_entry, read_auth_file
from opencode_sync.gateway.backends.opencode.auth.mapping import (
    auth_json,
    check_provider_id,
    mask,
    oauth_state,
    read_auth,
    without_secrets,
)
from opencode_sync.gateway.backends.opencode.backend import OpenCodeBackend
from opencode_sync.gateway.backends.opencode.http.client import OpenCodeHttp
from opencode_sync.gateway.backends.opencode.mapping.tables import Oddities
from opencode_sync.gateway.backends.opencode.server import discovery as opencode_discovery
from opencode_sync.gateway.backends.opencode.server.servers import Binding
from opencode_sync.wire import ipc_pb2
from opencode_sync.wire import oc_agent_pb2 as agent_pb
from opencode_sync.wire import oc_auth_pb2 as pb
from opencode_sync.wire import oc_session_pb2 as session_pb
from tests.unit.gateway_opencode.http_server import Answer

DOTS = "\N{HORIZONTAL ELLIPSIS}"
LONG = "sk-0123456789abcdefghij"


def soon():
    return Deadline.after(20)


def failure(function, *args, **options):
    with pytest.raises(BackendError) as caught:
        function(*args, **options)
    return error_code_name(caught.value.code), caught.value.message


# What is shown...


@pytest.mark.parametrize(
    ("secret", "shown"),
    [
        ("", ""),
        ("short", DOTS),
        ("sk-0123456789abcdef", DOTS),
        (LONG, f"sk-{DOTS}ghij"),
        ("0123456789abcdefghij", f"{DOTS}ghij"),
        ("longprefix-0123456789", f"{DOTS}6789"),
    ],
)
def test_a_mask_shows_the_end_of_long_secrets_alone(secret, shown):
    assert mask(secret) == shown


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        (
            {"type": "api", "key": LONG, "metadata": {}},
            pb.OcAuth(api=pb.OcApiAuth(type="api", key=f"sk-{DOTS}ghij")),
        ),
        (
            {"type": "oauth", "refresh": "r", "access": "", "expires": 5, "accountId": "x"},
            pb.OcAuth(oauth=pb.OcOAuth(type="oauth", refresh=DOTS, expires=5)),
        ),
        (
            {
                "type": "oauth",
                "refresh": "r",
                "access": "a",
                "expires": 5,
                "enterpriseUrl": "x.org",
            },
            pb.OcAuth(
                oauth=pb.OcOAuth(
                    type="oauth", refresh=DOTS, access=DOTS, expires=5, enterprise_url="x.org"
                )
            ),
        ),
        (
            {"type": "wellknown", "key": "K", "token": "T"},
            pb.OcAuth(well_known=pb.OcWellKnownAuth(type="wellknown", key=DOTS, token=DOTS)),
        ),
        ({"type": "passkey"}, None),
        ({"type": ["api"]}, None),
        (None, None),
    ],
)
def test_entries_are_read_with_their_secrets_masked(entry, expected):
    odd = Oddities()
    assert read_auth(entry, odd) == expected
    assert not odd


def test_a_number_that_no_double_holds_is_passed_over():
    odd = Oddities()
    entry = {"type": "oauth", "refresh": "r", "access": "a", "expires": 10**400}
    assert read_auth(entry, odd).oauth.expires == 0
    assert odd == {"auth.oauth.expires": 1}


@pytest.mark.parametrize(
    ("entry", "status"),
    [
        ({"type": "oauth"}, "CONFIGURED"),
        ({"type": "api"}, "API_KEY"),
        ({"type": "wellknown"}, "WELL_KNOWN"),
        (None, "NOT_CONFIGURED"),
        ({"type": "passkey"}, "UNKNOWN"),
        ("?", "UNKNOWN"),
    ],
)
def test_how_one_is_logged_in(entry, status):
    state = oauth_state(entry, "acme")
    assert ipc_pb2.OAuthStatusType.Name(state.status) == f"OAUTH_STATUS_TYPE_{status}"
    assert state.HasField("reason") == (status != "CONFIGURED")
    assert "acme" in state.reason or status == "CONFIGURED"


# What is taken...


@pytest.mark.parametrize(
    ("auth", "document"),
    [
        (pb.OcAuth(api=pb.OcApiAuth(key=LONG)), {"type": "api", "key": LONG}),
        (
            pb.OcAuth(well_known=pb.OcWellKnownAuth(key="K", token="T")),
            {"type": "wellknown", "key": "K", "token": "T"},
        ),
        (
            pb.OcAuth(oauth=pb.OcOAuth(refresh="r", expires=1795400000000)),
            {"type": "oauth", "refresh": "r", "access": "", "expires": 1795400000000},
        ),
        (
            pb.OcAuth(oauth=pb.OcOAuth(refresh="r", access="a", enterprise_url="x.org")),
            {
                "type": "oauth",
                "refresh": "r",
                "access": "a",
                "expires": 0,
                "enterpriseUrl": "x.org",
            },
        ),
    ],
)
def test_credentials_as_opencode_takes_them(auth, document):
    assert auth_json(auth) == document
    assert isinstance(document.get("expires", 0), int)
    emptied = without_secrets(auth)
    kind = auth.WhichOneof("auth")
    assert emptied.WhichOneof("auth") == kind
    assert getattr(emptied, kind).type == document["type"]
    assert not any(value in str(emptied) for value in (LONG, '"K"', '"T"', '"r"', '"a"'))
    assert emptied.oauth.expires == auth.oauth.expires


def test_nothing_has_no_secrets():
    assert without_secrets(pb.OcAuth()) == pb.OcAuth()


@pytest.mark.parametrize(
    ("auth", "words"),
    [
        (pb.OcAuth(), "auth holds no credentials"),
        (pb.OcAuth(api=pb.OcApiAuth()), "auth.api.key is blank"),
        (pb.OcAuth(api=pb.OcApiAuth(key=" \n")), "auth.api.key is blank"),
        (pb.OcAuth(api=pb.OcApiAuth(key="s3cret\n")), "auth.api.key must be printable ASCII"),
        (pb.OcAuth(api=pb.OcApiAuth(key="s3crét")), "auth.api.key must be printable ASCII"),
        (pb.OcAuth(well_known=pb.OcWellKnownAuth(key="k")), "auth.well_known.token is blank"),
        (pb.OcAuth(oauth=pb.OcOAuth(access="a")), "auth.oauth.refresh is blank"),
        (pb.OcAuth(oauth=pb.OcOAuth(refresh="r", expires=-1)), "auth.oauth.expires must be"),
        (pb.OcAuth(oauth=pb.OcOAuth(refresh="r", expires=0.5)), "auth.oauth.expires must be"),
        (
            pb.OcAuth(oauth=pb.OcOAuth(refresh="r", expires=float("nan"))),
            "auth.oauth.expires must be",
        ),
    ],
)
def test_credentials_that_cannot_be_right(auth, words):
    code, said = failure(auth_json, auth)
    assert code == "INVALID_MESSAGE"
    assert said.startswith(words)
    assert "s3cr" not in said


@pytest.mark.parametrize("good", ["anthropic", "github-copilot", "https://x.org/a", "a" * 100])
def test_ids_that_a_provider_can_have(good):
    assert check_provider_id(good) == good


@pytest.mark.parametrize("bad", ["", "  ", "a" * 101, "a b", "../x", "__proto__", "a\nb", "ü"])
def test_ids_that_no_provider_can_have(bad):
    code, said = failure(check_provider_id, bad)
    assert code == "INVALID_MESSAGE"
    assert said.startswith("provider_id ")
    assert len(said) < 250


# Where they are...


def test_the_file_is_in_the_data_folder_of_the_servers_environment(tmp_path, monkeypatch):
    def write(*folders):
        folder = tmp_path.joinpath(*folders, "opencode")
        folder.mkdir(parents=True)
        (folder / "auth.json").write_text(json.dumps({"in": "/".join(folders)}))

    write("xdg")
    write("home", ".local", "share")
    home = {"HOME": str(tmp_path / "home")}
    assert read_auth_file({**home, "XDG_DATA_HOME": str(tmp_path / "xdg")}) == {"in": "xdg"}
    assert read_auth_file(home) == {"in": "home/.local/share"}
    assert read_auth_file({"USERPROFILE": home["HOME"]}) == {"in": "home/.local/share"}
    monkeypatch.setenv("HOME", home["HOME"])
    monkeypatch.setenv("USERPROFILE", home["HOME"])
    assert read_auth_file({}) == {"in": "home/.local/share"}
    assert read_auth_file({"HOME": str(tmp_path)}) == {}
    content = {**home, "OPENCODE_AUTH_CONTENT": '{"in": "a variable"}'}
    assert read_auth_file(content) == {"in": "a variable"}


@pytest.mark.parametrize("content", ["", "{", "[]", '{"a": "s3cret', "[" * 100_000])
def test_a_file_that_holds_no_credentials(tmp_path, content):
    folder = tmp_path / "opencode"
    folder.mkdir()
    (folder / "auth.json").write_text(content)
    code, said = failure(read_auth_file, {"XDG_DATA_HOME": str(tmp_path)})
    assert code == "SERVER_ERROR"
    assert str(folder / "auth.json") in said
    assert "s3cret" not in said


def test_a_file_that_cannot_be_read(tmp_path, monkeypatch):
    (tmp_path / "opencode" / "auth.json").mkdir(parents=True)
    code, said = failure(read_auth_file, {"XDG_DATA_HOME": str(tmp_path)})
    assert code == "SERVER_ERROR"
    assert "cannot be read" in said
    (tmp_path / "opencode" / "auth.json").rmdir()
    (tmp_path / "opencode" / "auth.json").write_text("{}    ")
    monkeypatch.setattr(opencode_auth_file, "_LARGEST", 4)
    assert "too large" in failure(read_auth_file, {"XDG_DATA_HOME": str(tmp_path)})[1]


@pytest.fixture
def binding():
    """Make bindings: ``binding(url, **fields)``."""
    made = []

    def make(url="http://127.0.0.1:4096", **fields):
        made.append(Binding(OpenCodeHttp(url), **fields))
        return made[-1]

    yield make
    for each in made:
        each.http.close()


def test_the_entry_of_an_address_is_found_with_or_without_its_last_slash(binding):
    environ = {"OPENCODE_AUTH_CONTENT": '{"https://x.org": 1}'}
    ours = binding(environ=environ)
    assert auth_entry(ours, "https://x.org/") == auth_entry(ours, "https://x.org") == 1
    assert auth_entry(ours, "https://y.org") is None
    assert "AUTH_CONTENT" not in repr(ours)


@pytest.fixture
def running(monkeypatch):
    """Pretend that this test's own process is a server that listens on port 4096."""

    class Process:
        def environ(self):
            if self.denied:
                raise psutil.AccessDenied(1)
            return {"OPENCODE_AUTH_CONTENT": '{"acme": {"type": "oauth"}}'}

    process = Process()
    process.denied = False
    candidate = SimpleNamespace(pid=4711, process=process)
    monkeypatch.setattr(opencode_discovery, "_candidates", lambda psutil: [candidate])
    monkeypatch.setattr(
        opencode_discovery, "_listening", lambda candidate: iter(["http://127.0.0.1:4096"])
    )
    return process


@pytest.mark.parametrize(
    "where",
    [
        {},
        {"url": "http://localhost:4096"},
        {"pid": 4711, "url": "http://127.0.0.1:5000"},
    ],
)
def test_a_server_of_this_user_is_asked_for_its_environment(binding, running, where):
    assert auth_entry(binding(**where), "acme") == {"type": "oauth"}


@pytest.mark.parametrize(
    "where",
    [
        {"url": "http://127.0.0.1:5000"},
        {"url": "http://10.0.0.1:4096"},
        {"pid": 4712},
    ],
)
def test_of_any_other_server_nothing_can_be_known(binding, running, where):
    code, said = failure(auth_entry, binding(**where), "acme")
    assert code == "NOT_IMPLEMENTED"
    assert "no process of this user on this machine" in said


def test_a_server_that_may_not_be_looked_into(binding, running):
    running.denied = True
    assert failure(auth_entry, binding(), "acme")[0] == "NOT_IMPLEMENTED"


# Through the backend...


@pytest.fixture
def backend():
    backends = []

    def make(server, **options):
        backends.append(OpenCodeBackend(server.url, **options))
        return backends[-1]

    yield make
    for each in backends:
        each.close()


def test_set_auth_puts_and_empties(serve, backend):
    server = serve(Answer(True))
    auth = pb.OcAuth(api=pb.OcApiAuth(key=LONG))
    answer = backend(server).set_auth("https://x.org/a", auth, deadline=soon())
    assert answer == pb.OcAuth(api=pb.OcApiAuth(type="api"))
    (request,) = server.requests
    assert (request.method, request.path) == ("PUT", "/auth/https%3A%2F%2Fx.org%2Fa")
    assert json.loads(request.body) == {"type": "api", "key": LONG}


def test_set_auth_that_is_not_answered_with_true(serve, backend):
    auth = pb.OcAuth(api=pb.OcApiAuth(key=LONG))
    code, said = failure(backend(serve(Answer(False))).set_auth, "acme", auth, deadline=soon())
    assert (code, "that is not true" in said) == ("SERVER_ERROR", True)


def test_get_auth_and_oauth_status_read_the_servers_file(serve, backend, monkeypatch):
    content = json.dumps({"acme": {"type": "api", "key": LONG, "new": 1}})
    environ = {"OPENCODE_AUTH_CONTENT": content}
    monkeypatch.setattr(opencode_auth_file, "environment_of", lambda *where: environ)
    server = serve(Answer(True))
    within = backend(server)
    assert within.get_auth("acme", deadline=soon()).api.key == f"sk-{DOTS}ghij"
    assert within.get_auth("other", deadline=soon()) is None
    status = within.oauth_status("acme", deadline=soon()).status
    assert status == ipc_pb2.OAUTH_STATUS_TYPE_API_KEY
    assert failure(within.oauth_status, "", deadline=soon())[0] == "INVALID_MESSAGE"
    assert server.requests == []


def test_a_key_that_opencode_has_already_is_no_news(serve, backend, monkeypatch, tmp_path):
    content = json.dumps({"acme": {"type": "api", "key": LONG}})
    environ = {"OPENCODE_AUTH_CONTENT": content}
    monkeypatch.setattr(opencode_auth_file, "environment_of", lambda *where: environ)
    server = serve(
        lambda request: Answer(True if request.method == "PUT" else {"providers": [{"id": "acme"}]})
    )
    within = backend(server, directory=tmp_path)
    auth = pb.OcAuth(api=pb.OcApiAuth(key=LONG))
    within.set_auth("acme", auth, deadline=soon())
    assert within.connected_providers(deadline=soon()) == ["acme"]
    assert [request.path for request in server.requests] == ["/auth/acme", "/config/providers"]
    assert failure(backend(serve(Answer({"directory": "/p"}))).connected_providers, deadline=soon())


def test_sync_pushes_what_it_finds_and_reports_refusals(serve, backend, running, tmp_path):
    server = serve(
        lambda request: (
            Answer(True)
            if request.path == "/auth/groq"
            else Answer({"name": "BadRequest", "data": {"message": "no"}}, 400)
        )
    )
    environ = {
        "GROQ_API_KEY": "gsk_0123456789abcdefghijklmnop",
        "XAI_API_KEY": "xai-0123456789abcdefghijklmnop",
    }
    within = backend(server, environ=environ, directory=tmp_path)
    result = within.sync_auth_keys(skip_oauth_providers=False, deadline=soon())
    assert [each.provider for each in result.synced] == ["groq"]
    assert [(each.provider, each.status_code) for each in result.failed] == [("xai", 400)]


def test_sync_leaves_logins_alone(serve, backend, monkeypatch, tmp_path):
    monkeypatch.setattr(
        opencode_auth_file,
        "environment_of",
        lambda *where: {
            "OPENCODE_AUTH_CONTENT": '{"groq": {"type": "oauth"}, "xai": {"type": "api"}}'
        },
    )
    environ = {
        "GROQ_API_KEY": "gsk_0123456789abcdefghijklmnop",
        "XAI_API_KEY": "xai-0123456789abcdefghijklmnop",
    }
    server = serve(Answer(True))
    within = backend(server, environ=environ, directory=tmp_path)
    result = within.sync_auth_keys(skip_oauth_providers=True, deadline=soon())
    assert [each.provider for each in result.synced] == ["xai"]
    assert "groq" in [each.provider for each in result.skipped]
    assert [request.path for request in server.requests] == ["/auth/xai"]


# Agents, which have no file of their own...


def test_each_field_of_an_agent():
    odd = Oddities()
    document = {
        "name": "review",
        "description": "Reviews",
        "mode": "subagent",
        "native": False,
        "hidden": True,
        "topP": 0.5,
        "temperature": 0,
        "color": "#fff",
        "permission": [{"permission": "bash", "pattern": "*", "action": "ask"}],
        "model": {"modelID": "m", "providerID": "p"},
        "variant": "high",
        "prompt": "Review.",
        "options": {"apiKey": 1},
        "steps": 5,
    }
    expected = agent_pb.OcAgentInfo(
        name="review",
        description="Reviews",
        mode="subagent",
        native=False,
        hidden=True,
        top_p=0.5,
        temperature=0,
        color="#fff",
        permission=session_pb.OcPermissionRuleset(
            rules=[
                session_pb.OcPermissionRule(permission="bash", pattern="*", action=session_pb.ASK)
            ]
        ),
        model=agent_pb.OcAgentModel(model_id="m", provider_id="p"),
        prompt="Review.",
        steps=5,
    )
    expected.options["apiKey"] = 1
    assert read_agents([document], odd) == [expected]
    assert not odd


def test_agents_that_are_odd():
    odd = Oddities()
    documents = [None, {"mode": "primary"}, {"name": "a", "steps": True, "native": 1, "topP": "x"}]
    assert [agent.name for agent in read_agents(documents, odd)] == ["a"]
    assert odd == {"agent": 2, "agent.steps": 1, "agent.native": 1, "agent.topP": 1}
    nonsense = [{"name": "b", "temperature": float("inf"), "options": []}]
    assert read_agents(nonsense, odd)[0] == agent_pb.OcAgentInfo(name="b")


def test_list_agents_asks_in_the_directory(serve, backend, tmp_path):
    server = serve(Answer([{"name": "build", "new": 1}]))
    agents = backend(server, directory=tmp_path).list_agents(deadline=soon())
    assert [agent.name for agent in agents] == ["build"]
    assert server.requests[0].query == {"directory": [os.fspath(tmp_path.resolve())]}
    code, said = failure(backend(serve(Answer({}))).list_agents, deadline=soon())
    assert (code, "not a list of agents" in said) == ("SERVER_ERROR", True)


def test_the_applications_settings_are_kept_in_the_file_given(serve, backend, tmp_path):
    within = backend(serve(Answer(None)), config_file=tmp_path / "config.json")
    settings = json.loads(within.get_config(deadline=soon()).app_config_json)
    settings["ui"]["font_size"] = "Large"
    assert within.update_config(json.dumps(settings), deadline=soon()).success
    again = json.loads(within.get_config(deadline=soon()).app_config_json)
    assert again["ui"]["font_size"] == "Large"
    assert not within.update_config("{", deadline=soon()).success
