from __future__ import annotations

from typing import TypeVar

from django.contrib import admin
from django.db.models import Model

from apps.accounts.models import ApiToken, Identity, User

M = TypeVar("M", bound=Model)


class ReadOnly(admin.ModelAdmin[M]):
    """To look at. Changes go through the console's own pages, which write them down."""

    def has_add_permission(self, request: object) -> bool:
        return False

    def has_change_permission(self, request: object, obj: object = None) -> bool:
        return False

    def has_delete_permission(self, request: object, obj: object = None) -> bool:
        return False


@admin.register(User)
class PersonAdmin(ReadOnly[User]):
    list_display = ["username", "role", "is_active", "last_login"]
    list_filter = ["role", "is_active"]
    search_fields = ["username", "first_name", "last_name", "email"]
    fieldsets = [
        (None, {"fields": ["username", "role", "theme"]}),
        ("Person", {"fields": ["first_name", "last_name", "email"]}),
        ("Access", {"fields": ["is_active", "is_staff", "is_superuser", "last_login"]}),
    ]


@admin.register(ApiToken)
class TokenAdmin(ReadOnly[ApiToken]):
    list_display = ["user", "name", "prefix", "created", "expires", "last_used"]
    exclude = ["digest"]


@admin.register(Identity)
class IdentityAdmin(ReadOnly[Identity]):
    list_display = ["user", "issuer", "email", "created", "last_used"]
