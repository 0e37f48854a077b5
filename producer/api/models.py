"""`/v1/models`: what clients ask first."""

from __future__ import annotations

from fastapi import APIRouter

from producer.api.desk import Desk, DeskOf
from producer.api.errors import ApiError
from producer.api.shapes import MODEL, Model, ModelList
from replay.contracts import Tier
from replay.models import routing

router = APIRouter(prefix="/v1/models", tags=["models"])


@router.get("")
def list_models(desk: DeskOf) -> ModelList:
    """List the one name that requests ask for."""
    return ModelList(data=[_model(desk)])


@router.get("/{model}")
def retrieve_model(model: str, desk: DeskOf) -> Model:
    """Say which models stand behind it."""
    if model != MODEL:
        raise ApiError(
            404, f"The model {model[:64]!r} does not exist here; the one to name is {MODEL!r}.",
            param="model", code="model_not_found",
        )  # fmt: skip
    return _model(desk)


def _model(desk: Desk) -> Model:
    return Model(id=MODEL, replay={tier.value: routing.model_for(tier, desk.settings) for tier in Tier})
