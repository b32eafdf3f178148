"""The app: its own accounts, shown to those whom the index names.

Access is asked for in each request and never kept, so a revocation holds from the next one on.
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

from accounts_api.accounts import Account, AccountEdit, Accounts, Place
from territory_client import AccessUnknown, AsyncAccess

CANDIDATES = 500
"""Accounts of the sorted list that Redis is asked about at once."""
REDIS_SECONDS_MAX = 1.0
VERSION_SECONDS_MAX = 1.0
RETRY_SECONDS = 1

router = APIRouter()
log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Parts:
    """What requests are answered from."""

    accounts: Accounts
    access: AsyncAccess


class ListedAccount(Account):
    """An account on a page."""

    can_edit: bool


class AccountPage(BaseModel):
    """Some of the accounts that a user sees, by name."""

    accounts: list[ListedAccount]
    next: str | None
    """Where the next page is; None: this was the last."""


def make_app(accounts: Accounts, redis_url: str, org_id: str) -> FastAPI:
    """Return the app. Both stay open until it ends."""
    client = redis.asyncio.Redis.from_url(
        redis_url, socket_timeout=REDIS_SECONDS_MAX, socket_connect_timeout=REDIS_SECONDS_MAX
    )

    @asynccontextmanager
    async def closing_at_the_end(_: FastAPI) -> AsyncIterator[None]:
        yield
        await client.aclose()
        accounts.close()

    app = FastAPI(title="Accounts", lifespan=closing_at_the_end)
    app.state.parts = Parts(accounts, AsyncAccess(client, org_id))
    app.add_exception_handler(AccessUnknown, nobody_knows)
    app.include_router(router)
    return app


def parts_of(request: Request) -> Parts:
    """Return what the app was made with."""
    parts: Parts = request.app.state.parts
    return parts


def user_of(x_user: Annotated[str | None, Header()] = None) -> str:
    """Return who asks. Your own sign-in belongs here: whoever can send a header is believed."""
    if not x_user:
        raise HTTPException(401, "say who you are in the header X-User")
    return x_user


async def nobody_knows(_: Request, fault: Exception) -> JSONResponse:
    """Show nothing while it can't be said who sees what, or not yet; the caller is to try again.

    The fault is for the log: it names keys, and may tell that there is a record.
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
    """Return a page of the user's accounts by name: full, unless it is the last."""
    seen: list[Account] = []
    place = Place(after_name, after_id)
    while len(seen) <= limit:  # one more than the page has, which tells whether there is a next one
        candidates = parts.accounts.after(place, CANDIDATES)
        visible = set(await parts.access.filter_visible(user, "account", [one.id for one in candidates]))
        seen += [one for one in candidates if one.id in visible]
        if len(candidates) < CANDIDATES:
            break
        place = candidates[-1].place
    page = seen[:limit]
    edited = await parts.access.filter_visible(user, "account", [one.id for one in page], level="edit")
    following = None
    if len(seen) > limit:
        # Of the last account that is shown: a place between would tell of one that is not.
        query = {"limit": limit, "after_name": page[-1].name, "after_id": page[-1].id}
        following = f"/accounts?{urlencode(query)}"
    return AccountPage(
        accounts=[ListedAccount(**one.model_dump(), can_edit=one.id in edited) for one in page], next=following
    )


@router.get("/accounts/{account_id}")
async def show_account(account_id: str, user: User, parts: With, at_least: int | None = None) -> Account:
    """Return an account, or 404: nobody is told that there is one which they may not see.

    With `at_least`, the version that the caller has published, the answer knows of that change.
    """
    # Access first: whether there is such an account must make no difference to who may not see it.
    seen = await parts.access.can_see(user, "account", account_id, at_least=at_least, within=VERSION_SECONDS_MAX)
    account = parts.accounts.get(account_id) if seen else None
    if account is None:
        raise HTTPException(404, f"you see no account {account_id!r}")
    return account


@router.patch("/accounts/{account_id}")
async def edit_account(account_id: str, edit: AccountEdit, user: User, parts: With) -> Account:
    """Change an account: 404 for who may not see it, 403 for who may not edit it."""
    account = await show_account(account_id, user, parts)
    if not await parts.access.can_edit(user, "account", account_id):
        raise HTTPException(403, f"you may read account {account_id!r}, and not edit it")
    changed = account.model_copy(update={**edit.model_dump(exclude_unset=True), "version": account.version + 1})
    parts.accounts.put([changed])
    return changed
