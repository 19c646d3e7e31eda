"""The person over REST: who I am, my tokens, sessions, saved views and webhooks; and for admins
the members and the audit log.
"""

from apps.automation.api.account import router as account_router
from apps.automation.api.audit import router as audit_router
from apps.automation.api.members import router as members_router
from apps.automation.api.sessions import router as sessions_router
from apps.automation.api.views import router as views_router
from apps.automation.api.webhooks import router as webhooks_router

__all__ = [
    "account_router",
    "audit_router",
    "members_router",
    "sessions_router",
    "views_router",
    "webhooks_router",
]
