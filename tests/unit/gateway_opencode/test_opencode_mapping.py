"""OpenCode's session JSON becomes the schema's message, whatever state it is in."""

from __future__ import annotations

import math

import pytest

from opencode_sync.gateway.backends.opencode.mapping.sessions import (
    Oddities,
    read_session,
    read_sessions,
)
from opencode_sync.wire import ext_types_pb2 as types_pb
from opencode_sync.wire import oc_session_pb2 as pb


def read(document):
    odd = Oddities()
    return read_session(document, odd), dict(odd)


def test_a_new_session_has_no_optional_part():
    session, odd = read(
        {
            "id": "ses_1",
            "slug": "shiny-planet",
            "projectID": "global",
            "directory": "/p",
            "path": "",
            "cost": 0,
            "tokens": {"input": 0, "cache": {"read": 0}},
            "title": "New session",
            "version": "1.18.33",
            "time": {"created": 1795391706186, "updated": 1795391706596},
        }
    )
    assert session == pb.OcSessionInfo(
        id="ses_1",
        project_id="global",
        directory="/p",
        title="New session",
        version="1.18.33",
        time=pb.OcSessionTime(created=1795391706186, updated=1795391706596),
        cost=0.0,
        usage=types_pb.IpcUsage(),
        slug="shiny-planet",
    )
    for absent in ("parent_id", "summary", "share", "permission", "revert"):
        assert not session.HasField(absent)
    assert not session.time.HasField("archived")
    assert odd == {}


def test_everything_a_session_can_hold_is_carried():
    session, odd = read(
        {
            "id": "ses_2",
            "projectID": "e797e6",
            "directory": "/p",
            "parentID": "ses_1",
            "agent": "general",
            "model": {"id": "m", "providerID": "p", "variant": "high"},
            "slug": "shiny-planet",
            "cost": 0.25,
            "tokens": {
                "total": 2**33,
                "input": 2**32,
                "output": 3,
                "reasoning": 4,
                "cache": {"read": 5, "write": 6},
            },
            "metadata": {"k": 1},
            "workspaceID": "wrk_1",
            "title": "sub",
            "version": "1.18.33",
            "summary": {
                "additions": 3,
                "deletions": 1,
                "files": 2,
                "diffs": [
                    {"file": "a", "patch": "@@", "additions": 3, "deletions": 1, "status": "added"},
                    {"file": "b", "before": "x", "after": "y", "additions": 0, "deletions": 0},
                ],
            },
            "share": {"url": "https://example.com/s"},
            "time": {"created": 1, "updated": 2, "compacting": 3, "archived": 4.0},
            "permission": [
                {"permission": "task", "pattern": "*", "action": "deny"},
                {"permission": "bash", "pattern": "ls *", "action": "allow"},
                {"permission": "edit", "pattern": "*", "action": "ask"},
            ],
            "revert": {"messageID": "msg_1", "partID": "prt_1", "snapshot": "cb", "diff": "d"},
        }
    )
    assert session == pb.OcSessionInfo(
        id="ses_2",
        project_id="e797e6",
        directory="/p",
        parent_id="ses_1",
        title="sub",
        version="1.18.33",
        summary=pb.OcSessionSummary(
            additions=3,
            deletions=1,
            files=2,
            diffs=[
                pb.OcFileDiff(file="a", additions=3, deletions=1, patch="@@", status="added"),
                pb.OcFileDiff(file="b", before="x", after="y"),
            ],
        ),
        share=pb.OcSessionShare(url="https://example.com/s"),
        time=pb.OcSessionTime(created=1, updated=2, compacting=3, archived=4),
        permission=pb.OcPermissionRuleset(
            rules=[
                pb.OcPermissionRule(permission="task", pattern="*", action=pb.DENY),
                pb.OcPermissionRule(permission="bash", pattern="ls *", action=pb.ALLOW),
                pb.OcPermissionRule(permission="edit", pattern="*", action=pb.ASK),
            ]
        ),
        revert=pb.OcSessionRevert(message_id="msg_1", part_id="prt_1", snapshot="cb", diff="d"),
        cost=0.25,
        usage=types_pb.IpcUsage(input=2**32, output=3, reasoning=4, cache_read=5, cache_write=6),
        agent="general",
        model=types_pb.IpcModelChoice(provider_id="p", model_id="m", variant="high"),
        slug="shiny-planet",
    )
    assert odd == {}


def test_what_is_there_but_empty_is_present():
    session, odd = read(
        {"id": "ses_1", "summary": {"files": 0}, "permission": [], "time": {"compacting": 0}}
    )
    assert session.HasField("summary")
    assert session.HasField("permission")
    assert session.time.HasField("compacting")
    assert odd == {}


@pytest.mark.parametrize("zero", [0, 0.0])
def test_a_session_that_was_taken_out_of_the_archive_is_not_archived(zero):
    session, odd = read({"id": "ses_1", "time": {"created": 1, "archived": zero}})
    assert session.time == pb.OcSessionTime(created=1)
    assert odd == {}


def test_null_is_absent():
    session, odd = read({"id": "ses_1", "parentID": None, "summary": None, "time": None})
    assert session == pb.OcSessionInfo(id="ses_1")
    assert odd == {}


@pytest.mark.parametrize(
    ("field", "value", "path"),
    [
        ("title", 7, "session.title"),
        ("parentID", ["ses_1"], "session.parentID"),
        ("time", 1795391706186, "session.time"),
        ("time", {"created": "now"}, "session.time.created"),
        ("time", {"created": True}, "session.time.created"),
        ("time", {"archived": False}, "session.time.archived"),
        ("tokens", {"cache": {"read": "all"}}, "session.tokens.cache.read"),
        ("model", "m", "session.model"),
        ("time", {"updated": math.inf}, "session.time.updated"),
        ("time", {"updated": math.nan}, "session.time.updated"),
        ("summary", {"diffs": {}}, "session.summary.diffs"),
        ("summary", {"diffs": ["a"]}, "session.summary.diffs[]"),
        ("summary", {"diffs": [{"file": 1}]}, "session.summary.diffs[].file"),
        ("permission", {"rules": []}, "session.permission"),
        ("permission", [{"action": "perhaps"}], "session.permission[].action"),
        ("permission", [{"action": ["allow"]}], "session.permission[].action"),
        ("invented", {"by": "a later version"}, "session.invented"),
    ],
)
def test_an_odd_value_is_passed_over_and_counted(field, value, path):
    session, odd = read({"id": "ses_1", field: value, "version": "1.18.33"})
    assert (session.id, session.version) == ("ses_1", "1.18.33")
    assert odd == {path: 1}


def test_a_permission_that_is_no_list_leaves_the_ruleset_absent():
    session, _ = read({"id": "ses_1", "permission": {"rules": []}})
    assert not session.HasField("permission")


def test_numbers_beyond_the_fields_range_are_clamped():
    session, odd = read(
        {
            "id": "ses_1",
            "summary": {"additions": 2**31, "deletions": -(2**40), "files": 2**31 - 1},
            "time": {"created": 10**30, "updated": -1e300, "archived": 1795391706186.75},
        }
    )
    assert session.summary.additions == 2**31 - 1
    assert session.summary.deletions == -(2**31)
    assert session.summary.files == 2**31 - 1
    assert session.time.created == 2**63 - 1
    assert session.time.updated == -(2**63)
    assert session.time.archived == 1795391706186
    assert odd == {}


def test_half_a_surrogate_pair_becomes_the_replacement_character():
    session, odd = read({"id": "ses_1", "title": "a\ud800b \U0001f600 \x00"})
    assert session.title == "a\ufffdb \U0001f600 \x00"
    assert pb.OcSessionInfo.FromString(session.SerializeToString()) == session
    assert odd == {}


@pytest.mark.parametrize("document", [None, [], "ses_1", 7, {}, {"id": 7}, {"id": ""}])
def test_what_has_no_id_is_no_session(document):
    session, _ = read(document)
    assert session is None


def test_a_list_keeps_its_order_and_counts_what_is_no_session():
    odd = Oddities()
    sessions = read_sessions([{"id": "ses_2"}, None, {"id": "ses_1"}, {"title": "x"}], odd)
    assert [session.id for session in sessions] == ["ses_2", "ses_1"]
    assert odd == {"session": 2}
