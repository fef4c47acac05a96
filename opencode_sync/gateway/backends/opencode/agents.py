"""OpenCode's agents in its JSON as the schema's messages."""

from __future__ import annotations

from collections.abc import Iterable

from opencode_sync.deadline import Deadline
from opencode_sync.gateway.backends.opencode.mapping.sessions import ruleset
from opencode_sync.gateway.backends.opencode.mapping.tables import (
    Field,
    Oddities,
    Table,
    fill,
    flag,
    int32,
    log_oddities,
    number,
    obj,
    struct,
    text,
)
from opencode_sync.gateway.backends.opencode.project import Project
from opencode_sync.wire import oc_agent_pb2 as pb

__all__ = ["list_agents", "read_agents"]

_MODEL = Table({"modelID": Field("model_id", text), "providerID": Field("provider_id", text)})
_AGENT = Table(
    {
        "name": Field("name", text),
        "description": Field("description", text),
        "mode": Field("mode", text),
        "native": Field("native", flag),
        "hidden": Field("hidden", flag),
        "topP": Field("top_p", number),
        "temperature": Field("temperature", number),
        "color": Field("color", text),
        "permission": Field("permission", ruleset),
        "model": Field("model", obj(_MODEL)),
        "prompt": Field("prompt", text),
        "options": Field("options", struct),
        "steps": Field("steps", int32),
    },
    left_out=frozenset({"variant"}),
)


def list_agents(project: Project, deadline: Deadline) -> list[pb.OcAgentInfo]:
    """See ``OpenCodeBackend.list_agents``."""
    answer = project.call("GET", "/agent", deadline)
    if not isinstance(answer, list):
        raise project.binding.misshapen("GET /agent", "a list of agents")
    odd = Oddities()
    agents = read_agents(answer, odd)
    log_oddities(odd)
    return agents


def read_agents(documents: Iterable[object], odd: Oddities) -> list[pb.OcAgentInfo]:
    """Return the agents among these, in their order; what has no name is counted.

    Args:
        documents: What ``GET /agent`` lists.
        odd: Gets a count for everything that could not be carried.
    """
    agents = []
    for document in documents:
        agent = pb.OcAgentInfo()
        if isinstance(document, dict):
            fill(agent, _AGENT, document, odd, "agent")
        if agent.name:
            agents.append(agent)
        else:
            odd["agent"] += 1
    return agents
