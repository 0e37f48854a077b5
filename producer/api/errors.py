"""Refusals in the form that OpenAI's clients read: `{"error": {message, type, param, code}}`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fastapi import Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

INVALID = "invalid_request_error"
SERVER = "server_error"


class ApiError(HTTPException):
    """A request that is refused.

    Args:
        status_code: Of the answer.
        message: What is wrong, for a person.
        param: The field that is wrong, if one is.
        code: A stable word for programs.
        headers: Sent besides.
    """

    def __init__(
        self,
        status_code: int,
        message: str,
        *,
        param: str | None = None,
        code: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(status_code, message, headers)
        self.param = param
        self.code = code


def body_of(status: int, message: str, *, param: str | None = None, code: str | None = None) -> dict[str, Any]:
    """The body of a refusal."""
    kind = INVALID if status < 500 else SERVER
    return {"error": {"message": message, "type": kind, "param": param, "code": code}}


def invalid(message: str, *, param: str | None = None, code: str | None = None) -> ApiError:
    """A request whose content is wrong."""
    return ApiError(400, message, param=param, code=code)


def no_file(file_id: str) -> ApiError:
    """A file that is not here, or no longer."""
    return ApiError(404, f"No such File object: {file_id}", param="id")


def no_batch(batch_id: str) -> ApiError:
    """A batch that is not here."""
    return ApiError(404, f"No batch found with id '{batch_id}'.", param="batch_id")


def too_large(what: str, limit: int) -> ApiError:
    """A body, or a part of one, over its limit."""
    return ApiError(413, f"{what} is over the limit of {limit:,} bytes.", code="request_too_large")


async def answer_refusal(request: Request, error: Exception) -> JSONResponse:
    """The answer to a refusal, ours or the framework's own."""
    assert isinstance(error, HTTPException)  # noqa: S101  registered for this class
    message = str(error.detail)
    if not isinstance(error, ApiError) and error.status_code in {404, 405}:
        message = f"Unknown request URL: {request.method} {request.url.path}. The page /docs lists what there is."
    body = body_of(error.status_code, message, param=getattr(error, "param", None), code=getattr(error, "code", None))
    return JSONResponse(body, error.status_code, headers=error.headers)


async def answer_invalid(_request: Request, error: Exception) -> JSONResponse:
    """The answer to a body or a query that the declared types refuse; what was given is not repeated."""
    assert isinstance(error, RequestValidationError)  # noqa: S101  registered for this class
    fault = error.errors()[0]
    if fault["type"] == "json_invalid":
        return JSONResponse(body_of(400, "The body of this request is not JSON."), 400)
    param = ".".join(str(part) for part in fault["loc"][1:]) or None
    where = f" '{param}'" if param else ""
    if fault["type"] == "missing":
        message, code = (
            f"Missing required parameter{where or ': a body of application/json'}.",
            "missing_required_parameter",
        )
    else:
        message, code = f"Invalid value{where}: {fault['msg'][0].lower()}{fault['msg'][1:]}.", "invalid_value"
    return JSONResponse(body_of(400, message, param=param, code=code), 400)


async def answer_fault(_request: Request, _error: Exception) -> JSONResponse:
    """The answer to a bug of ours; the log has the stack trace."""
    return JSONResponse(body_of(500, "The server had an error while processing your request."), 500)
