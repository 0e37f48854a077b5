"""The page /docs: the OpenAPI document for people, in one file without scripts, so that it works without a network."""

from __future__ import annotations

from html import escape
from typing import Any

_STYLE = (
    "body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem}"
    "body{color:#222;background:#fff}"
    "code,pre{font:14px/1.4 ui-monospace,monospace}h2{margin-top:2.5rem}table{border-collapse:collapse;width:100%}"
    "td,th{text-align:left;vertical-align:top;padding:.3rem .6rem;border-bottom:1px solid #ddd}"
    "td code{white-space:nowrap}.verb{display:inline-block;min-width:4.5rem;font-weight:600}"
    "@media(prefers-color-scheme:dark){body{color:#ddd;background:#16181c}td,th{border-color:#333}a{color:#8ab4f8}}"
)


def page_of(document: dict[str, Any]) -> str:
    """The page of an OpenAPI document. All of its text is escaped."""
    info = document["info"]
    schemas: dict[str, Any] = document.get("components", {}).get("schemas", {})
    calls = "".join(
        f'<tr><td><code><span class="verb">{escape(verb.upper())}</span> {escape(path)}</code></td>'
        f"<td>{escape(call.get('description', call.get('summary', '')))}</td><td>{_answer_of(call)}</td></tr>"
        for path, verbs in document["paths"].items()
        for verb, call in verbs.items()
    )
    shapes = "".join(_shape(name, schema) for name, schema in sorted(schemas.items()) if "properties" in schema)
    title = escape(info["title"])
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
        f'<meta name="viewport" content="width=device-width"><style>{_STYLE}</style></head><body>'
        f"<h1>{title}</h1><p>{escape(info.get('description', ''))}</p>"
        f'<p>For programs: <a href="/openapi.json">openapi.json</a>.</p>'
        f"<h2>Calls</h2><table><tr><th>call</th><th>what it does</th><th>answer</th></tr>{calls}</table>"
        f"<h2>Objects</h2>{shapes}</body></html>\n"
    )


def _answer_of(call: dict[str, Any]) -> str:
    for content in call["responses"]["200"].get("content", {}).values():
        if name := _name_of(content.get("schema", {})):
            return f'<a href="#{escape(name)}">{escape(name)}</a>'
    return "the file"


def _shape(name: str, schema: dict[str, Any]) -> str:
    required = schema.get("required", ())
    rows = "".join(
        f"<tr><td><code>{escape(field)}</code></td><td>{_kind(value)}{'' if field in required else ', optional'}</td>"
        f"<td>{escape(value.get('description', ''))}</td></tr>"
        for field, value in schema["properties"].items()
    )
    about = escape(schema.get("description", ""))
    return f'<h3 id="{escape(name)}">{escape(name)}</h3><p>{about}</p><table>{rows}</table>'


def _kind(schema: dict[str, Any]) -> str:
    if name := _name_of(schema):
        return f'<a href="#{escape(name)}">{escape(name)}</a>'
    if "anyOf" in schema:
        return " or ".join(_kind(one) for one in schema["anyOf"])
    if "const" in schema or "enum" in schema:
        return " or ".join(f"<code>{escape(str(value))}</code>" for value in schema.get("enum", [schema.get("const")]))
    if schema.get("type") == "array":
        return f"list of {_kind(schema.get('items', {}))}"
    return escape(str(schema.get("type", "anything")))


def _name_of(schema: dict[str, Any]) -> str:
    return str(schema.get("$ref", "")).rpartition("/")[2]
