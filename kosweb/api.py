"""The REST API at /api/, and the OpenAI-compatible one at /v1/. Each app brings its router."""

from __future__ import annotations

from ninja import NinjaAPI

from apps.accounts.auth import BearerAuth
from apps.accounts.models import Scope
from apps.automation import api as automation
from apps.chat.api import router as chat
from apps.datasets.api import router as datasets
from apps.deployments.api import router as deployments
from apps.deployments.openai import router as openai
from apps.evals.api import router as evals
from apps.reviews.api import router as reviews
from apps.runs import api as runs
from apps.tools.api import router as tools
from apps.traces.api import router as traces
from kosweb.openapi import KosAPI
from kosweb.rest import router as house

api = KosAPI(title="Kos", version="1", auth=BearerAuth())
api.add_router("/", automation.account_router)
api.add_router("/", house)
api.add_router("/members/", automation.members_router)
api.add_router("/audit/", automation.audit_router)
api.add_router("/sessions/", automation.sessions_router)
api.add_router("/views/", automation.views_router)
api.add_router("/webhooks/", automation.webhooks_router)
api.add_router("/datasets/", datasets)
api.add_router("/runs/", runs.router)
api.add_router("/models/", runs.models_router)
api.add_router("/", runs.streams_router)
api.add_router("/deployments/", deployments)
api.add_router("/traces/", traces)
api.add_router("/evals/", evals)
api.add_router("/reviews/", reviews)
api.add_router("/tools/", tools)
api.add_router("/chat/", chat)

openai_api = NinjaAPI(
    title="Kos models",
    version="1",
    urls_namespace="openai",
    auth=BearerAuth(Scope.MODELS),
    docs_url=None,
)
openai_api.add_router("", openai)
