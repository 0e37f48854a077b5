"""Facts that Python source states in one line, found with `ast`: what a claim can be made of and proved by.

A fact has a family, an owner (the class, function or module that it is about), a name, a value, and the one line that
states it. Everything here reads files; nothing is imported, so a package need not work on this machine.
"""

from __future__ import annotations

import ast
import re
import warnings
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

Function = ast.FunctionDef | ast.AsyncFunctionDef
Definition = Function | ast.ClassDef
Value = bool | int | float | str | None
Owner = tuple[str, ...]

FAMILIES = (
    "function-default",
    "class-constant",
    "module-constant",
    "setting",
    "environment",
    "exception-base",
    "raise",
    "enum-member",
    "docstring-number",
    "deprecation",
)

_SHORT = re.compile(r"[\w .:/*@%+#<>{}-]{1,40}")
_EXCEPTION = re.compile(r"(?:Error|Exception|Warning|Failure|Timeout|Interrupt|Exit)$|^(?:Error|Exception)")
_NUMBER = re.compile(r"(?<![\w.:/=<>`'\"-])(\d+(?:\.\d+)?)(?![\w:/`'\"=-]|\.\d|\.[a-z])")
_PARAMETER = re.compile(r"^\s*(?::param(?:\s+[\w.]+)?\s+(\w+):|(\w+)\s*(?:\([^)]*\))?:\s)")
_NO_PARAMETER = frozenset(
    [
        "default",
        "defaults",
        "example",
        "examples",
        "note",
        "notes",
        "returns",
        "return",
        "raises",
        "raise",
        "yields",
        "float",
        "int",
        "str",
    ]
)
_MEASURED = re.compile(
    r"\b(?:defaults?|seconds?|minutes?|hours?|milliseconds|bytes|characters?|chars|items?|times|per|most|least|maximum|"
    r"minimum|between|exactly|up to|more than|less than|lower than|greater than|after|every|limit\w*|number of)\b",
    re.IGNORECASE,
)
_DEPRECATED = re.compile(
    r"\.\. deprecated::\s*v?(\d+(?:\.\d+)*)|[Dd]eprecated (?:since|in|as of) (?:version )?v?(\d+\.\d+)"
)
_REPLACED = re.compile(r"[Dd]eprecated.{0,40}?[Uu]se [`'\"]*([A-Za-z_]\w*[._]\w[\w.]*?)[`'\".,;: ()]")


@dataclass(frozen=True)
class Fact:
    """One fact and the line that states it.

    Attributes:
        family: One of `FAMILIES`.
        path: The file, from site-packages.
        line: Number of the line, from 1.
        owner: What it is about, from the outside in: module parts, classes, function.
        name: What has the value: a parameter, a constant, an option, an exception class, a variable.
        value: The value, as Python has it; for an exception its base, for a raise the exception.
        found: The value as it stands in the line.
        about: Words that say when or what, where name and owner do not: the message of a raise, a docstring's line.
        depth: How many of the owner's last parts are a class or function.
        function: Whether the innermost of them is a function, not a class.
    """

    family: str
    path: str
    line: int
    owner: Owner
    name: str
    value: Value
    found: str
    about: str = ""
    depth: int = 0
    function: bool = False


def facts(source: str, path: str) -> Iterator[Fact]:
    """Every fact of a module. A module that this interpreter cannot parse has none."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tree = ast.parse(source)
    except (SyntaxError, ValueError):
        return
    module = tuple(path.removesuffix(".py").removesuffix("/__init__").split("/"))
    reader = _Reader(path, source.split("\n"))
    for fact in reader.scope(tree.body, module, 0):
        yield replace(fact, function=fact.owner in reader.functions)
    if path == "celery/app/defaults.py":
        yield from reader.celery_settings(tree)


class _Reader:
    def __init__(self, path: str, lines: Sequence[str]) -> None:
        self.functions: set[Owner] = set()
        self._path = path
        self._lines = lines
        self._reads_environment = any("environ" in line or "getenv" in line for line in lines)
        self._bytes = [line.encode() for line in lines]  # ast counts columns in bytes

    def scope(self, body: Iterable[ast.stmt], owner: Owner, depth: int, *, enum: bool = False) -> Iterator[Fact]:
        for node in body:
            match node:
                case ast.FunctionDef() | ast.AsyncFunctionDef():
                    # A constructor is spoken of as its class.
                    built = node.name in {"__init__", "__new__", "__call__"} and depth > 0
                    inner, deep = (owner, depth) if built else ((*owner, node.name), depth + 1)
                    if not built:
                        self.functions.add(inner)
                    yield from self._defaults(node, inner, deep)
                    yield from self._docstring(node, inner, deep)
                    yield from self._statements(node.body, inner, deep)
                    yield from self._click_options(node, inner)
                    yield from self._decorators(node, inner, deep)
                case ast.ClassDef():
                    yield from self._base(node, owner)
                    yield from self._docstring(node, (*owner, node.name), depth + 1)
                    is_enum = any(_last(base).endswith(("Enum", "Flag")) for base in node.bases)
                    yield from self.scope(node.body, (*owner, node.name), depth + 1, enum=is_enum)
                case ast.Assign(targets=[ast.Name(id=name)], value=value):
                    yield from self._constant(name, value, owner, depth, enum=enum)
                case ast.AnnAssign(target=ast.Name(id=name), value=ast.expr() as value):
                    yield from self._constant(name, value, owner, depth, enum=enum)
                case ast.If() | ast.Try() | ast.With():
                    yield from self.scope(ast.iter_child_nodes(node), owner, depth)  # type: ignore[arg-type]  # others match nothing
                    continue
            if not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
                yield from self._environment(node, owner, depth)

    def celery_settings(self, tree: ast.Module) -> Iterator[Fact]:
        """`prefetch_multiplier=Option(4, type='int')` within `worker=Namespace(`."""
        for namespace in ast.walk(tree):
            if not isinstance(namespace, ast.keyword) or not isinstance(namespace.value, ast.Call):
                continue
            for option in namespace.value.keywords:
                if namespace.arg and option.arg and _called(option.value) == "Option":
                    call = option.value
                    assert isinstance(call, ast.Call)
                    yield from self._fact(
                        "setting",
                        ("celery", namespace.arg),
                        option.arg,
                        call.args[0] if call.args else None,
                        line=option.value.lineno,
                        depth=1,
                    )

    def _statements(self, body: Sequence[ast.stmt], owner: Owner, depth: int) -> Iterator[Fact]:
        text = "\n".join(self._lines[body[0].lineno - 1 : body[-1].end_lineno])
        if not any(word in text for word in ("raise ", "warn(", "get(", "environ", "getenv")):
            return  # walking every function of every package would take most of the time
        for statement in body:
            yield from self._environment(statement, owner, depth)
            for node in ast.walk(statement):
                if isinstance(node, ast.Raise):
                    yield from self._raise(node, owner, depth)
                elif isinstance(node, ast.Call) and _last(node.func) == "warn":
                    yield from self._warning(node, owner, depth)
                elif isinstance(node, ast.Call) and _last(node.func) == "get" and len(node.args) == 3:
                    # supervisor's options: integer(get(section, 'startretries', 3))
                    section, name, value = node.args
                    if self._path == "supervisor/options.py" and isinstance(section, ast.Name):
                        key = _literal(name)
                        if isinstance(key, str):
                            yield from self._fact(
                                "setting", ("supervisor", section.id), key, value, line=node.lineno, depth=1
                            )

    def _click_options(self, node: Function, owner: Owner) -> Iterator[Fact]:
        for decorator in node.decorator_list:
            if not isinstance(decorator, ast.Call) or _last(decorator.func) != "option" or not decorator.args:
                continue
            flag = _literal(decorator.args[0])
            for keyword in decorator.keywords:
                if keyword.arg == "default" and isinstance(flag, str):
                    yield from self._fact("setting", owner[:1], flag.split("/")[0].lstrip("-"), keyword.value)

    def _defaults(self, node: Function, owner: Owner, depth: int) -> Iterator[Fact]:
        positional = [*node.args.posonlyargs, *node.args.args]
        given = zip(positional[len(positional) - len(node.args.defaults) :], node.args.defaults, strict=True)
        keyword = ((a, d) for a, d in zip(node.args.kwonlyargs, node.args.kw_defaults, strict=True) if d is not None)
        for argument, default in (*given, *keyword):
            if argument.lineno == default.lineno:
                yield from self._fact("function-default", owner, argument.arg, default, depth=depth)

    def _constant(self, name: str, value: ast.expr, owner: Owner, depth: int, *, enum: bool) -> Iterator[Fact]:
        family = "enum-member" if enum else "class-constant" if depth else "module-constant"
        yield from self._fact(family, owner, name, value, depth=depth)

    def _base(self, node: ast.ClassDef, owner: Owner) -> Iterator[Fact]:
        bases = [_last(base) for base in node.bases]
        if len(bases) != 1 or not (_EXCEPTION.search(node.name) and _EXCEPTION.search(bases[0])):
            return
        line = next(n for n in range(node.lineno, node.lineno + 3) if "class " in self._lines[n - 1])
        if bases[0] in self._lines[line - 1]:
            yield Fact("exception-base", self._path, line, owner, node.name, bases[0], bases[0])

    def _raise(self, node: ast.Raise, owner: Owner, depth: int) -> Iterator[Fact]:
        if not isinstance(node.exc, ast.Call) or not node.exc.args:
            return
        exception, said = _last(node.exc.func), _said(node.exc.args[0])
        if exception[:1].isupper() and len(re.findall(r"[A-Za-z]{3,}", said)) >= 4:
            about = f"{said}\0{node.end_lineno}"
            yield Fact("raise", self._path, node.lineno, owner, owner[-1], exception, exception, about, depth)

    def _warning(self, node: ast.Call, owner: Owner, depth: int) -> Iterator[Fact]:
        """`warnings.warn("x is deprecated", DeprecationWarning)`: the line that names the category decides."""
        named = [*node.args[1:2], *(keyword.value for keyword in node.keywords if keyword.arg == "category")]
        said = _said(node.args[0]) if node.args else ""
        if named and "deprecat" in said.lower() and len(re.findall(r"[A-Za-z]{3,}", said)) >= 4:
            category, line = _last(named[0]), named[0].lineno
            if category.endswith("Warning"):
                yield Fact("deprecation", self._path, line, owner, owner[-1], category, category, said, depth)

    def _decorators(self, node: Function, owner: Owner, depth: int) -> Iterator[Fact]:
        for decorator in node.decorator_list:
            if isinstance(decorator, ast.Call) and _last(decorator.func).startswith("deprecated"):
                for keyword in decorator.keywords:
                    since = _literal(keyword.value)
                    if keyword.arg == "version" and isinstance(since, str):
                        line = keyword.value.lineno
                        yield Fact("deprecation", self._path, line, owner, owner[-1], since, since, "since", depth)

    def _environment(self, node: ast.AST, owner: Owner, depth: int) -> Iterator[Fact]:
        for call in ast.walk(node) if self._reads_environment else ():
            if isinstance(call, ast.Subscript) and _last(call.value) == "environ":
                key, default = _literal(call.slice), None
            elif isinstance(call, ast.Call) and call.args and _reads_environment(call.func):
                key, default = _literal(call.args[0]), call.args[1] if len(call.args) > 1 else None
            else:
                continue
            if (
                isinstance(key, str)
                and re.fullmatch(r"[A-Z][A-Z0-9_]{3,}", key)
                and key in self._lines[call.lineno - 1]
            ):
                target = ""
                if isinstance(node, ast.Assign) and isinstance(node.targets[0], (ast.Name, ast.Attribute)):
                    target = _last(node.targets[0])
                if default is not None:
                    yield from self._fact("environment", owner, key, default, line=call.lineno, depth=depth)
                else:
                    yield Fact("environment", self._path, call.lineno, owner, target, key, key, "name", depth)

    def _docstring(
        self, node: ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef, owner: Owner, depth: int
    ) -> Iterator[Fact]:
        if not node.body or not isinstance(node.body[0], ast.Expr) or not isinstance(_literal(node.body[0].value), str):
            return
        text = node.body[0]
        parameter = ""
        for number in range(text.lineno, (text.end_lineno or text.lineno) + 1):
            line = self._lines[number - 1].strip().strip("\"'")
            if named := _PARAMETER.match(line):
                name = named[1] or named[2]
                parameter = "" if name.lower() in _NO_PARAMETER or name.isdigit() else name
            if line.startswith((">>>", "...", "..", "$", "*")) and not line.startswith(".. deprecated"):
                continue
            if version := _DEPRECATED.search(line):
                since = version[1] or version[2]
                yield Fact("deprecation", self._path, number, owner, owner[-1], since, since, "since", depth)
            elif instead := _REPLACED.search(line):
                yield Fact(
                    "deprecation", self._path, number, owner, owner[-1], instead[1], instead[1], "instead", depth
                )
            elif (numbers := _NUMBER.findall(line)) and len(numbers) == 1 and _tells(line):
                value = float(numbers[0]) if "." in numbers[0] else int(numbers[0])
                yield Fact("docstring-number", self._path, number, owner, parameter, value, numbers[0], line, depth)

    def _fact(
        self, family: str, owner: Owner, name: str, value: ast.expr | None, *, line: int = 0, depth: int = 0
    ) -> Iterator[Fact]:
        try:
            literal = _evaluate(value) if value is not None else None
        except ValueError:
            return
        found, at = "", line
        if value is not None:
            if value.end_lineno != value.lineno:
                return
            at = value.lineno
            found = self._bytes[at - 1][value.col_offset : value.end_col_offset].decode()
        if not isinstance(literal, str) or _SHORT.fullmatch(literal):
            yield Fact(family, self._path, at, owner, name, literal, found, depth=depth)


def _evaluate(node: ast.expr) -> Value:
    match node:
        case ast.Constant(value=bool() | int() | float() | str() | None as value):
            return value
        case ast.UnaryOp(op=ast.USub(), operand=ast.Constant(value=int() | float() as value)):
            return -value
        case ast.BinOp(op=ast.Mult()):
            left, right = _evaluate(node.left), _evaluate(node.right)
            if isinstance(left, (int, float)) and isinstance(right, (int, float)):
                return left * right
    raise ValueError("not a literal")


def _literal(node: ast.expr) -> object:
    return node.value if isinstance(node, ast.Constant) else None


def _last(node: ast.expr) -> str:
    match node:
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return name
        case ast.Subscript(value=value):
            return _last(value)
    return ""


def _called(node: ast.expr) -> str:
    return _last(node.func) if isinstance(node, ast.Call) else ""


def _reads_environment(function: ast.expr) -> bool:
    name = _last(function)
    if name == "getenv":
        return True
    return (
        name in {"get", "pop"} and isinstance(function, ast.Attribute) and _last(function.value) in {"environ", "env"}
    )


def _tells(line: str) -> bool:
    """Whether a line of a docstring says something by its number, and is no example or list item."""
    plain = len(re.findall(r"[A-Za-z]{3,}", line)) >= 5 and not re.search(r"[=<>{}\[\]|]|^\d+[.)]", line)
    return plain and _MEASURED.search(line) is not None


def _said(message: ast.expr) -> str:
    match message:
        case ast.Constant(value=str() as text):
            return text
        case ast.JoinedStr(values=values):
            return " ".join(str(part.value) for part in values if isinstance(part, ast.Constant))
        case ast.BinOp(op=ast.Mod(), left=left):
            return re.sub(r"%(?:\(\w+\))?[a-z]", " ", _said(left))
        case ast.Call(func=ast.Attribute(value=value, attr="format")):
            return re.sub(r"\{[^}]*\}", " ", _said(value))
    return ""
