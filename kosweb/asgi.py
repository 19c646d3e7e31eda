"""The web process: pages and API by Django, sockets by Channels."""

from __future__ import annotations

import os
import warnings
from typing import Any

from django.core.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "kosweb.settings")
# WhiteNoise hands over files as plain iterators; Django reads them in a thread, which is fine.
warnings.filterwarnings("ignore", message="StreamingHttpResponse must consume synchronous")
django = get_asgi_application()

# The consumers import models, which need the apps that the line above loads.
from channels.routing import ProtocolTypeRouter, URLRouter  # noqa: E402
from channels.security.websocket import AllowedHostsOriginValidator  # noqa: E402
from channels.sessions import SessionMiddlewareStack  # noqa: E402
from django.urls import path  # noqa: E402

from apps.automation.sockets import SignedIn  # noqa: E402
from apps.chat.consumers import ChatConsumer  # noqa: E402
from apps.deployments import gateway  # noqa: E402
from apps.deployments.asgi import Gateway  # noqa: E402
from apps.runs.consumers import RunConsumer  # noqa: E402
from kosweb.crowding import Crowd  # noqa: E402
from kosweb.mcp import Mcp  # noqa: E402
from kosweb.measuring import Timed  # noqa: E402


async def lifespan(scope: dict[str, Any], receive: Any, send: Any) -> None:
    """Say yes to the server's start and stop, which Channels leaves unanswered."""
    while True:
        message = await receive()
        if message["type"] == "lifespan.shutdown":
            await gateway.close()
            await mcp.close()
        await send({"type": f"{message['type']}.complete"})
        if message["type"] == "lifespan.shutdown":
            return


# Channels takes ASGI applications where Django's path() has views.
sockets = URLRouter(
    [
        path("ws/runs/<int:pk>/", RunConsumer.as_asgi()),  # type: ignore[list-item, arg-type]
        path("ws/chat/<int:pk>/", ChatConsumer.as_asgi()),  # type: ignore[list-item, arg-type]
    ]
)
pages: Any = django  # as an application: django-stubs name its parameters otherwise
mcp = Mcp(Gateway(Crowd(pages)))
router: Any = ProtocolTypeRouter(
    {
        "http": mcp,
        "websocket": AllowedHostsOriginValidator(SessionMiddlewareStack(SignedIn(sockets))),
        "lifespan": lifespan,
    }
)
application = Timed(router)
