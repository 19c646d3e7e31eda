"""The REST API at /api/, and the OpenAI-compatible one at /v1/. Each app brings its router."""

from __future__ import annotations

from ninja import NinjaAPI

from apps.accounts.auth import BearerAuth
from apps.accounts.models import Scope
from apps.datasets.api import router as datasets
from apps.deployments.api import router as deployments
from apps.deployments.openai import router as openai
from apps.evals.api import router as evals
from apps.reviews.api import router as reviews
from apps.runs.api import router as runs
from apps.tools.api import router as tools
from apps.traces.api import router as traces
from kosweb.problems import KosAPI

api = KosAPI(title="Kos", version="1", auth=BearerAuth())
api.add_router("/datasets/", datasets)
api.add_router("/runs/", runs)
api.add_router("/deployments/", deployments)
api.add_router("/traces/", traces)
api.add_router("/evals/", evals)
api.add_router("/reviews/", reviews)
api.add_router("/tools/", tools)

openai_api = NinjaAPI(
    title="Kos models",
    version="1",
    urls_namespace="openai",
    auth=BearerAuth(Scope.MODELS),
    docs_url=None,
)
openai_api.add_router("", openai)
