"""Which kind of text a file is, by its name, and how it is cut into pieces."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from pathlib import PurePosixPath

from replay.corpus import markdown, passages
from replay.corpus.definitions import Cut, definitions, module_name
from replay.corpus.languages import Language, by_suffix
from replay.corpus.passages import PASSAGE_LINES, Piece


class Kind(StrEnum):
    """How a text is cut: by definition, by heading, or into passages."""

    CODE = "code"
    MARKDOWN = "markdown"
    PROSE = "prose"
    PLAIN = "plain"


@dataclass(frozen=True)
class Form:
    """What a file is, and for code the language."""

    kind: Kind
    language: Language | None = None

    @property
    def is_python(self) -> bool:
        """Does it obey a coding line?"""
        return self.language is not None and self.language.name == "Python"


_MARKDOWN = frozenset({".md", ".markdown", ".mdx"})
_PROSE = frozenset({".adoc", ".rst", ".txt"})
_PLAIN = frozenset(
    """
    .avsc .awk .bat .bzl .cfg .clj .cljs .cmake .conf .cql .css .dart .el .erl .ex .exs .f90 .fish .fs .gql .gradle
    .graphql .groovy .hcl .hrl .hs .htm .html .ini .j2 .jinja .jl .json .json5 .jsonc .kt .kts .less .lisp .lua .m
    .mk .ml .mli .mm .nim .nix .nu .pas .pl .pm .prisma .properties .proto .ps1 .r .rego .sass .scala .scm .scss .sol
    .sql .svelte .swift .tcl .tf .tfvars .thrift .toml .v .vb .vhd .vim .vue .wat .xml .xsd .xsl .yaml .yml .zig .zsh
    """.split()  # noqa: SIM905  as a list of quoted suffixes it is harder to read and to keep in order
)
_NAMED = frozenset(
    """
    authors build changelog changes cmakelists.txt codeowners containerfile contributing copying dockerfile go.mod
    go.work history jenkinsfile justfile license makefile news notice procfile readme security tiltfile todo vagrantfile
    workspace
    """.split()  # noqa: SIM905  see above
)
_RUBY_NAMED = frozenset({"gemfile", "rakefile"})
_INTERPRETER = re.compile(rb"#!\s*(?:\S*/)?(?:env\s+(?:-\S+\s+)*)?(?:\S*/)?([a-z]+)")
_INTERPRETED = {
    b"python": ".py",
    b"pypy": ".py",
    b"node": ".js",
    b"ruby": ".rb",
    b"php": ".php",
    **dict.fromkeys((b"sh", b"bash", b"dash", b"ksh"), ".sh"),
}
_CPP_WORD = re.compile(r"^\s*(?:class|namespace|template|using)\b", re.MULTILINE)
_MARKUP = ("<?xml", "<!doctype")


def form_of(path: str) -> Form | None:
    """What a file's name says that it is, or None where it says nothing that is read."""
    pure = PurePosixPath(path.lower())
    name, suffix = pure.name, pure.suffix
    if name in _NAMED:
        return Form(Kind.PLAIN)
    if suffix in _MARKDOWN:
        return Form(Kind.MARKDOWN)
    if suffix in _PROSE:
        return Form(Kind.PROSE)
    if language := by_suffix(".rb" if name in _RUBY_NAMED else suffix):
        return Form(Kind.CODE, language)
    return Form(Kind.PLAIN) if suffix in _PLAIN else None


def form_of_script(held: bytes) -> Form | None:
    """What the first line of a file without a suffix says that it is: `#!/usr/bin/env python3`."""
    found = _INTERPRETER.match(held[:200])
    language = by_suffix(_INTERPRETED.get(found[1], "")) if found else None
    return Form(Kind.CODE, language) if language else None


def cut(path: str, form: Form, text: str, lines: list[str]) -> Cut:
    """Cut a file into pieces.

    Args:
        path: Relative to the root.
        form: What it is.
        text: The text, with plain newlines as line ends.
        lines: The same text, line by line.
    """
    if form.language and not text[:200].lstrip().lower().startswith(_MARKUP):
        scope = module_name(path) if form.is_python else path.removesuffix(PurePosixPath(path).suffix)
        made: list[Cut] = []
        for language in _languages(path, form.language, text):
            made.append(definitions(text, lines, scope, language))
            if made[-1].intact:
                return made[-1]
        return min(made, key=lambda one: one.unknown)
    if form.kind is Kind.MARKDOWN:
        return Cut(markdown.sections(lines, PurePosixPath(path).stem))
    if form.kind is Kind.PROSE:
        return Cut(passages.sections(lines, PurePosixPath(path).stem))
    return Cut(passages.cut(lines, Piece(1, len(lines), path), PASSAGE_LINES))


def _languages(path: str, language: Language, text: str) -> tuple[Language, ...]:
    """What a file may be written in, the likelier first: `.h` is a header of C or of C++."""
    cpp = by_suffix(".hpp")
    if PurePosixPath(path).suffix.lower() != ".h" or cpp is None:
        return (language,)
    return (cpp, language) if _CPP_WORD.search(text) else (language, cpp)


def cut_description(package: str, lines: list[str]) -> Cut:
    """Cut the long description of a package out of its METADATA, whose headers end at the first blank line."""
    headers = lines.index("") if "" in lines else 0
    body = [""] * headers + lines[headers:]  # blanked headers keep the line numbers right
    is_markdown = any(line.lower().startswith("description-content-type: text/markdown") for line in lines[:headers])
    cutter = markdown.sections if is_markdown else passages.sections
    return Cut(cutter(body, package))
