"""The harness of a deployment: its model, dialect, tools and limits, ready to answer."""

from __future__ import annotations

from collections.abc import Sequence

from apps.accounts.models import User
from apps.deployments import services
from apps.deployments.metering import MeteredClient
from apps.deployments.models import Deployment
from apps.tools import mcp
from apps.tools.services import open_desk
from kos.chat.dialects import DIALECTS
from kos.harness.loop import Harness, Limits, Options, Tool
from kos.tools.registry import pick_tools

# A model of 0.1e9 parameters that starts to loop would hold the machine for minutes.
DEMONSTRATION_SECONDS = 120.0


def harness_of(
    deployment: Deployment,
    *,
    user: User | None = None,
    source: str = "chat",
    token_name: str = "",
    tools: Sequence[str] | None = None,
    options: Options | None = None,
) -> Harness:
    """What answers for ``deployment``; its generations count as the usage of ``user``.

    ``tools`` (names) and ``options`` take the place of the deployment's own. Reads the
    database: in an event loop call it in a thread. Raises UserError for a tool that is not
    there.
    """
    how = deployment.how
    client = MeteredClient(
        services.client_for(deployment),
        deployment,
        user_id=user.pk if user else None,
        token_name=token_name,
        source=source,
    )
    return Harness(
        client=client,
        dialect=DIALECTS[deployment.dialect](),
        tools=find_tools(how.tools if tools is None else tools),
        desk=open_desk(user),
        limits=limits_of(deployment),
        options=options or options_of(deployment),
        system_prompt=how.system_prompt,
        name=deployment.name,
        versions=services.versions_of(deployment),
    )


def options_of(deployment: Deployment) -> Options:
    """How the harness of ``deployment`` works, unless it is told otherwise."""
    how = deployment.how
    return Options(
        tools_as=how.tools_as,
        thinking=how.thinking,
        observation_tokens=how.observation_tokens,
    )


def limits_of(deployment: Deployment) -> Limits:
    """What an answer of ``deployment`` may take."""
    sampling = deployment.how.sampling
    # An answer may take half of the context at most: the rest is for what it reads.
    longest = min(sampling.max_tokens, max(1, deployment.max_context // 2))
    return Limits(
        max_tokens=longest,
        max_context=deployment.max_context,
        temperature=sampling.temperature,
        top_p=sampling.top_p,
        seconds=DEMONSTRATION_SECONDS if deployment.is_demonstration else Limits.seconds,
    )


def find_tools(names: Sequence[str]) -> tuple[Tool, ...]:
    """The tools with these names, in this order, those of approved MCP servers among them.

    Raises UserError for one that is not there.
    """
    return tuple(
        mcp.pick(name) if name.startswith(mcp.PREFIX) else pick_tools((name,))[0]
        for name in dict.fromkeys(names)
    )
