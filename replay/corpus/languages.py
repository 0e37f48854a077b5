"""The languages whose files are cut by definition: one row each, in the words of its tree-sitter grammar.

A row's `definitions` is a tree-sitter query. It captures a definition as

- `@whole`: a record of its own with everything in it: a function, a method, a type without methods;
- `@body`: a scope that is cut into what it defines and the rest: a class, an `impl`, a namespace;

and where the grammar's field `name` is not the name, `@name` says which node is, and `@of` what it belongs to (the
receiver of a Go method). A declaration without a body is no definition: it stays in the scope that declares it.
`@callback` is a function without a name that is handed to another: what two of them enclose, as in a test within a
test suite, is no definition of the file. `above` captures what belongs to the definition below it: comments, and
attributes that are siblings.

Query syntax: https://tree-sitter.github.io/tree-sitter/using-parsers/queries/
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, lru_cache
from importlib import import_module

from tree_sitter import Language as Grammar
from tree_sitter import Parser, Query

_COMMENT = "(comment) @above"


@dataclass(frozen=True)
class Language:
    """One language.

    Attributes:
        name: As people call it.
        grammar: The package that carries the grammar.
        definitions: The query for what becomes a record.
        above: The query for what belongs to the definition below it.
        entry: The function of the package that gives the grammar.
    """

    name: str
    grammar: str
    definitions: str
    above: str = _COMMENT
    entry: str = "language"

    @cached_property
    def _grammar(self) -> Grammar:
        return Grammar(getattr(import_module(self.grammar), self.entry)())

    @cached_property
    def parser(self) -> Parser:
        """A parser; it belongs to the process and is not for two threads at once."""
        return Parser(self._grammar)

    @cached_property
    def query(self) -> Query:
        """Both queries, and the spans that the grammar does not know as `@error`, compiled."""
        return Query(self._grammar, f"{self.definitions} {self.above} (ERROR) @error")


_PYTHON = Language(
    "Python",
    "tree_sitter_python",
    """
    (function_definition name: (_) @name) @whole
    (class_definition name: (_) @name) @body
    (decorated_definition definition: (function_definition name: (_) @name)) @whole
    (decorated_definition definition: (class_definition name: (_) @name)) @body
    """,
)

_JAVASCRIPT_DEFINITIONS = """
    (function_declaration) @whole
    (generator_function_declaration) @whole
    (class_declaration) @body
    (method_definition) @whole
    (lexical_declaration (variable_declarator name: (identifier) @name
        value: [(arrow_function) (function_expression) (generator_function)])) @whole
    (variable_declaration (variable_declarator name: (identifier) @name
        value: [(arrow_function) (function_expression) (generator_function)])) @whole
    (expression_statement (assignment_expression left: (_) @name
        right: [(arrow_function) (function_expression) (generator_function)])) @whole
    (export_statement "default" @name
        value: [(arrow_function) (function_expression) (generator_function)]) @whole
    (export_statement "default" @name value: (class)) @body
    (arguments [(arrow_function) (function_expression) (generator_function)] @callback)
    """

_JAVASCRIPT = Language(
    "JavaScript",
    "tree_sitter_javascript",
    _JAVASCRIPT_DEFINITIONS
    + "(field_definition property: (_) @name value: [(arrow_function) (function_expression)]) @whole",
    above="[(comment) (decorator)] @above",
)

_TYPESCRIPT_DEFINITIONS = (
    _JAVASCRIPT_DEFINITIONS
    + """
    (public_field_definition name: (_) @name value: [(arrow_function) (function_expression)]) @whole
    (abstract_class_declaration) @body
    (interface_declaration) @whole
    (type_alias_declaration) @whole
    (enum_declaration) @whole
    (internal_module) @body
    (module) @body
    """
)
_TYPESCRIPT = Language(
    "TypeScript",
    "tree_sitter_typescript",
    _TYPESCRIPT_DEFINITIONS,
    above="[(comment) (decorator)] @above",
    entry="language_typescript",
)
_TSX = Language(
    "TSX",
    "tree_sitter_typescript",
    _TYPESCRIPT_DEFINITIONS,
    above="[(comment) (decorator)] @above",
    entry="language_tsx",
)

_GO = Language(
    "Go",
    "tree_sitter_go",
    """
    (function_declaration) @whole
    (method_declaration receiver: (parameter_list (parameter_declaration type: (_) @of))) @whole
    (type_spec) @whole
    (type_alias) @whole
    """,
)

_RUST = Language(
    "Rust",
    "tree_sitter_rust",
    """
    [(function_item) (macro_definition) (struct_item) (enum_item) (union_item)] @whole
    (trait_item) @body
    (impl_item type: (_) @name) @body
    (mod_item body: (_)) @body
    """,
    above="[(line_comment) (block_comment) (attribute_item)] @above",
)

_JAVA = Language(
    "Java",
    "tree_sitter_java",
    """
    (method_declaration body: (_)) @whole
    [(constructor_declaration) (compact_constructor_declaration)] @whole
    [(class_declaration) (interface_declaration) (enum_declaration) (record_declaration)] @body
    (annotation_type_declaration) @body
    """,
    above="[(line_comment) (block_comment)] @above",
)

_C_DEFINITIONS = """
    (function_definition) @whole
    (type_definition type: (_ body: (_)) declarator: (_) @name) @whole
    (enum_specifier body: (_)) @whole
    """

_C = Language(
    "C",
    "tree_sitter_c",
    _C_DEFINITIONS + "[(struct_specifier body: (_)) (union_specifier body: (_))] @whole",
)

_CPP = Language(
    "C++",
    "tree_sitter_cpp",
    _C_DEFINITIONS
    + """
    [(class_specifier body: (_)) (struct_specifier body: (_)) (union_specifier body: (_))] @body
    (namespace_definition) @body
    (template_declaration (function_definition declarator: (_) @name)) @whole
    (template_declaration [
        (class_specifier name: (_) @name body: (_))
        (struct_specifier name: (_) @name body: (_))
        (union_specifier name: (_) @name body: (_))]) @body
    """,
)

_C_SHARP = Language(
    "C#",
    "tree_sitter_c_sharp",
    """
    (method_declaration body: (_)) @whole
    [(constructor_declaration) (destructor_declaration)] @whole
    [(operator_declaration) (conversion_operator_declaration)] @whole
    [(class_declaration) (struct_declaration) (interface_declaration) (record_declaration)] @body
    (enum_declaration) @whole
    (namespace_declaration) @body
    """,
)

_PHP = Language(
    "PHP",
    "tree_sitter_php",
    """
    (function_definition) @whole
    (method_declaration body: (_)) @whole
    [(class_declaration) (interface_declaration) (trait_declaration) (enum_declaration)] @body
    (namespace_definition body: (_)) @body
    """,
    entry="language_php",
)

_RUBY = Language(
    "Ruby",
    "tree_sitter_ruby",
    """
    [(method) (singleton_method)] @whole
    [(class) (module)] @body
    (singleton_class value: (_) @name) @body
    [(block) (do_block)] @callback
    """,
)

_BASH = Language("Bash", "tree_sitter_bash", "(function_definition) @whole ")

_BY_SUFFIX: dict[str, Language] = {
    **dict.fromkeys((".py", ".pyi", ".pyw"), _PYTHON),
    **dict.fromkeys((".js", ".mjs", ".cjs", ".jsx"), _JAVASCRIPT),
    **dict.fromkeys((".ts", ".mts", ".cts"), _TYPESCRIPT),
    ".tsx": _TSX,
    ".go": _GO,
    ".rs": _RUST,
    ".java": _JAVA,
    **dict.fromkeys((".c", ".h"), _C),
    **dict.fromkeys((".cc", ".cpp", ".cxx", ".hh", ".hpp", ".hxx", ".inl", ".ipp", ".tpp"), _CPP),
    ".cs": _C_SHARP,
    ".php": _PHP,
    **dict.fromkeys((".rb", ".rake", ".gemspec"), _RUBY),
    **dict.fromkeys((".sh", ".bash"), _BASH),
}

PYTHON = _PYTHON
LANGUAGES: tuple[Language, ...] = tuple(dict.fromkeys(_BY_SUFFIX.values()))


def by_suffix(suffix: str) -> Language | None:
    """The language of a lower-case suffix such as `.py`, if files of it are cut by definition."""
    return _BY_SUFFIX.get(suffix)


@lru_cache(maxsize=1)
def suffixes() -> frozenset[str]:
    """Every suffix that names a language."""
    return frozenset(_BY_SUFFIX)
