"""One run, whole."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from dashboard.desk import Desk, not_found
from dashboard.telling import View, tell
from evidence.reader import EvidenceReader
from evidence.views import notes
from replay.prompting import PromptLimits


def routes(desk: Desk) -> list[BaseRoute]:
    """The page, which is the run's permalink, and its twin."""
    reader = EvidenceReader(desk.settings.evidence_log)
    limits = PromptLimits(exemplars=desk.settings.exemplars_shown)

    def look(request: Request) -> View:
        run_id = request.path_params["run_id"]
        with desk.views() as db:
            noted = tuple(notes.about(db, run_id)) if db is not None else ()
        view = tell(reader, run_id, noted, limits)
        if view is None:
            raise not_found("There is no evidence of a run of this id. It may still wait, or its record is on the way.")
        return view

    def page(request: Request) -> Response:
        return desk.page(request, "pages/run.html", view=look(request))

    def as_json(request: Request) -> Response:
        return JSONResponse(look(request).as_json())

    return [Route("/runs/{run_id}.json", as_json), Route("/runs/{run_id}", page)]
