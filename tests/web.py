"""A browser for tests of the dashboard: it keeps cookies, says where its requests come from, and needs no server."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence
from typing import Any

import httpx
from starlette.types import ASGIApp

from dashboard.access.gate import Access
from dashboard.access.rules import rules
from dashboard.actions import Actions, Books, Done
from dashboard.app import make_app
from evidence.reviews import Decision
from replay.contracts import Ruling
from replay.settings import Settings

VIEWER = "viewer-token-0123456789"
OPERATOR = "operator-token-0123456789"
PAGE = {"accept": "text/html"}


class Browser:
    """Asks one application as somebody's browser.

    Args:
        app: The application.
        base: Scheme, name and port under which it is asked.
        address: Where the requests come from.
    """

    def __init__(self, app: ASGIApp, base: str = "http://localhost:8410", address: str = "127.0.0.1") -> None:
        self.app = app
        self.base = base
        self.address = address
        self.cookies: dict[str, str] = {}

    def ask(self, method: str, path: str, *, headers: dict[str, str] | None = None, **given: Any) -> httpx.Response:
        """One request, redirects not followed."""
        return asyncio.run(self._ask(method, path, PAGE | (headers or {}), given))

    def get(self, path: str, **headers: str) -> httpx.Response:
        """A page, asked for by typing its address."""
        return self.ask("GET", path, headers=_named(headers))

    def post(self, path: str, form: dict[str, Any] | None = None, **headers: str) -> httpx.Response:
        """A form, sent from a page of this application unless the headers say otherwise."""
        own = {"origin": self.base, "sec-fetch-site": "same-origin"}
        sent = {name: value for name, value in (own | _named(headers)).items() if value}
        return self.ask("POST", path, headers=sent, data=form or {})

    def act(self, page: str, path: str, form: dict[str, Any] | None = None) -> httpx.Response:
        """Send a form that stands on a page."""
        shown = self.get(page).text
        assert f'action="{path}"' in shown, f"{page} has no form that is sent to {path}"
        return self.post(path, (form or {}) | {"csrf": csrf_of(shown)})

    def sign_in(self, token: str) -> httpx.Response:
        """Send the form of the login page."""
        return self.post("/login", {"token": token, "next": "/"})

    async def _ask(self, method: str, path: str, headers: dict[str, str], given: dict[str, Any]) -> httpx.Response:
        if self.cookies:
            headers |= {"cookie": "; ".join(f"{name}={value}" for name, value in self.cookies.items())}
        transport = httpx.ASGITransport(self.app, client=(self.address, 50000))
        async with httpx.AsyncClient(transport=transport, base_url=self.base) as client:
            answer = await client.request(method, path, headers=headers, **given)
        for cookie in answer.headers.get_list("set-cookie"):
            name, _, value = cookie.partition(";")[0].partition("=")
            self.cookies.pop(name, None)
            if value:
                self.cookies[name] = value
        return answer


class Recorder:
    """Actions that only note who wants what."""

    def __init__(self) -> None:
        self.done: list[tuple[str, str, str]] = []

    def cancel_batch(self, batch_id: str, who: str) -> Done:
        """See `dashboard.actions.Actions`."""
        return self._note("batch.cancel", batch_id, who)

    def pause_batch(self, batch_id: str, reason: str, who: str) -> Done:
        """See `dashboard.actions.Actions`."""
        return self._note("batch.pause", batch_id, who)

    def resume_batch(self, batch_id: str, who: str) -> Done:
        """See `dashboard.actions.Actions`."""
        return self._note("batch.resume", batch_id, who)

    def retry_batch(self, batch_id: str, who: str) -> Done:
        """See `dashboard.actions.Actions`."""
        return self._note("batch.retry", batch_id, who)

    def pause_lane(self, lane: str, reason: str, who: str) -> Done:
        """See `dashboard.actions.Actions`."""
        return self._note("lane.pause", lane, who)

    def resume_lane(self, lane: str, who: str) -> Done:
        """See `dashboard.actions.Actions`."""
        return self._note("lane.resume", lane, who)

    def requeue(self, letter_ids: Sequence[str], who: str) -> Done:
        """See `dashboard.actions.Actions`."""
        return self._note("dead.requeue", " ".join(letter_ids), who)

    def discard(self, letter_ids: Sequence[str], who: str) -> Done:
        """See `dashboard.actions.Actions`."""
        return self._note("dead.discard", " ".join(letter_ids), who)

    def review(
        self, run_id: str, decision: Decision, *, note: str, verdict: Ruling | None, admit: bool, who: str
    ) -> Done:
        """See `dashboard.actions.Actions`."""
        return self._note(f"review.{decision}", run_id, who)

    def _note(self, what: str, target: str, who: str) -> Done:
        self.done.append((what, target, who))
        return Done(f"{what} {target}")


def dashboard(
    settings: Settings,
    host: str = "127.0.0.1",
    *,
    operator: bool = False,
    access: Access | None = None,
    books: Books | None = None,
    actions: Actions | None = None,
) -> ASGIApp:
    """The application as the command makes it for this address."""
    access = access or Access.of(settings, rules(settings, host, operator=operator))
    return make_app(settings, access=access, books=books, actions=actions)


def csrf_of(page: str) -> str:
    """What the forms of a page carry; empty where it has none."""
    found = re.search(r'name="csrf" value="([^"]*)"', page)
    return found[1] if found is not None else ""


def _named(headers: dict[str, str]) -> dict[str, str]:
    return {name.replace("_", "-"): value for name, value in headers.items()}
