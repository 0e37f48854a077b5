"""What a request's headers say of where it comes from."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

from starlette.datastructures import Headers

_HOST = re.compile(r"(\[[0-9a-f:.]+\]|[a-z0-9_](?:[a-z0-9_.-]*[a-z0-9_])?)\.?(?::([0-9]{1,5}))?")
_FORWARDED = ("forwarded", "x-forwarded-for", "x-forwarded-host", "x-real-ip")
_PORTS = {"http": 80, "https": 443}


def host_name(headers: Headers) -> str | None:
    """The name under which the dashboard was asked for, without port; None where that cannot be told."""
    given = headers.getlist("host")
    found = _HOST.fullmatch(given[0].lower()) if len(given) == 1 else None
    return found[1] if found is not None else None


def is_forwarded(headers: Headers) -> bool:
    """Does a proxy say that it hands on a request of somebody else?"""
    return any(name in headers for name in _FORWARDED)


def is_foreign(headers: Headers) -> bool:
    """Does the browser say that a page of another origin made this request? False where it says nothing.

    Another port of the same machine is another origin too, and its requests would carry our cookie.
    """
    site = headers.get("sec-fetch-site")
    if site is not None:
        return site not in {"same-origin", "none"}
    origin = headers.get("origin")
    return origin is not None and not _is_ours(origin, headers)


def is_from_our_page(headers: Headers) -> bool:
    """Does the browser say that a page of ours made this request?"""
    site = headers.get("sec-fetch-site")
    origin = headers.get("origin")
    if site is not None:
        # A browser that sends both means both; an origin of `null` is what privacy settings make of ours.
        return site == "same-origin" and (origin in (None, "null") or _is_ours(origin, headers))
    return origin is not None and _is_ours(origin, headers)


def _is_ours(origin: str, headers: Headers) -> bool:
    """Is this origin what the request was sent to? The scheme is left aside: behind a proxy we see another one."""
    try:
        parts = urlsplit(origin.lower())
        port = parts.port
    except ValueError:
        return False
    found = _HOST.fullmatch(headers.get("host", "").lower())
    if parts.scheme not in _PORTS or not parts.hostname or found is None:
        return False
    name = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    usual = _PORTS[parts.scheme]
    return (name, port or usual) == (found[1], int(found[2] or usual))
