"""The HTTP app: shows each user the accounts that the access index allows.

Each request asks the index and nothing is cached, so a revocation takes effect with the next request.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Annotated
from urllib.parse import urlencode

import redis.asyncio
from fastapi import APIRouter, Depends, FastAPI, Header, HTTPException, Query, Request
from fastapi.responses import JSONResponse
from pydantic import BaseModel

from accounts_api.accounts import Account, AccountEdit, Accounts, ListPosition
from territory_client import AccessUnknown, AsyncAccess

CANDIDATES = 500
"""Accounts of the sorted list in one question to Redis."""
REDIS_SECONDS_MAX = 1.0
VERSION_SECONDS_MAX = 1.0
RETRY_SECONDS = 1

router = APIRouter()
log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Parts:
    """The account store and the access client."""

    accounts: Accounts
    access: AsyncAccess


class ListedAccount(Account):
    """An account on a page."""

    can_edit: bool


class AccountPage(BaseModel):
    """One page of the accounts that a user sees, by name."""

    accounts: list[ListedAccount]
    next: str | None
    """URL of the next page; None: this is the last."""


def make_app(accounts: Accounts, redis_url: str, org_id: str) -> FastAPI:
    """Return the app, which closes the store and its Redis client when it ends."""
    client = redis.asyncio.Redis.from_url(
        redis_url, socket_timeout=REDIS_SECONDS_MAX, socket_connect_timeout=REDIS_SECONDS_MAX
    )

    @asynccontextmanager
    async def close_at_shutdown(_: FastAPI) -> AsyncIterator[None]:
        yield
        await client.aclose()
        accounts.close()

    app = FastAPI(title="Accounts", lifespan=close_at_shutdown)
    app.state.parts = Parts(accounts, AsyncAccess(client, org_id))
    app.add_exception_handler(AccessUnknown, access_unknown)
    app.include_router(router)
    return app


def parts_of(request: Request) -> Parts:
    """Return the app's store and client."""
    parts: Parts = request.app.state.parts
    return parts


def user_of(x_user: Annotated[str | None, Header()] = None) -> str:
    """Return the user of the request. Replace it by your own sign-in: it trusts any header."""
    if not x_user:
        raise HTTPException(401, "say who you are in the header X-User")
    return x_user


async def access_unknown(_: Request, fault: Exception) -> JSONResponse:
    """Answer 503 without data while access is unknown.

    The exception goes to the log only: it names keys and could reveal that a record exists.
    """
    log.warning("answered 503: %s", fault)
    detail = "who may see this can't be said at the moment; try again"
    return JSONResponse({"detail": detail}, 503, {"Retry-After": str(RETRY_SECONDS)})


User = Annotated[str, Depends(user_of)]
With = Annotated[Parts, Depends(parts_of)]


@router.get("/accounts")
async def list_accounts(
    user: User,
    parts: With,
    limit: Annotated[int, Query(ge=1, le=100)] = 20,
    after_name: str = "",
    after_id: str = "",
) -> AccountPage:
    """Return a page of the user's accounts by name; every page but the last is full."""
    seen: list[Account] = []
    position = ListPosition(after_name, after_id)
    while len(seen) <= limit:  # one more than fits tells whether there is a next page
        candidates = parts.accounts.after(position, CANDIDATES)
        visible = set(await parts.access.filter_visible(user, "account", [one.id for one in candidates]))
        seen += [one for one in candidates if one.id in visible]
        if len(candidates) < CANDIDATES:
            break
        position = candidates[-1].position
    page = seen[:limit]
    edited = await parts.access.filter_visible(user, "account", [one.id for one in page], level="edit")
    following = None
    if len(seen) > limit:
        # From the last account shown: a later position could reveal one that the user may not see.
        query = {"limit": limit, "after_name": page[-1].name, "after_id": page[-1].id}
        following = f"/accounts?{urlencode(query)}"
    return AccountPage(
        accounts=[ListedAccount(**one.model_dump(), can_edit=one.id in edited) for one in page], next=following
    )


@router.get("/accounts/{account_id}")
async def show_account(account_id: str, user: User, parts: With, at_least: int | None = None) -> Account:
    """Return an account, or 404, also for an account that exists but is not visible to the user.

    With `at_least`, a version that the caller has published, the answer includes that change.
    """
    # Ask for access first: the answer must not depend on whether the account exists.
    seen = await parts.access.can_see(user, "account", account_id, at_least=at_least, within=VERSION_SECONDS_MAX)
    account = parts.accounts.get(account_id) if seen else None
    if account is None:
        raise HTTPException(404, f"you see no account {account_id!r}")
    return account


@router.patch("/accounts/{account_id}")
async def edit_account(account_id: str, edit: AccountEdit, user: User, parts: With) -> Account:
    """Change an account: 404 if the user may not see it, 403 if the user may not edit it."""
    account = await show_account(account_id, user, parts)
    if not await parts.access.can_edit(user, "account", account_id):
        raise HTTPException(403, f"you may read account {account_id!r}, and not edit it")
    changed = account.model_copy(update={**edit.model_dump(exclude_unset=True), "version": account.version + 1})
    parts.accounts.put([changed])
    return changed
