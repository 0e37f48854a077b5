"""`/metrics`, for Prometheus."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from dashboard.desk import Desk
from dashboard.metrics import exposition


def routes(desk: Desk) -> list[Route]:
    """The one route."""

    def metrics(request: Request) -> Response:
        page, content_type = exposition(desk.settings, request.headers.get("accept", ""))
        return Response(page, headers={"Content-Type": content_type})

    return [Route("/metrics", metrics)]
