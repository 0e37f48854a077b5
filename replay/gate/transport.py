"""Transport rules: the reply arrived whole and is a reply."""

from __future__ import annotations

from replay.contracts import Generation, Reason

_REASONING_MARKS = ("<think>", "</think>", "<|im_start|>", "<|assistant|>")


def arrived(generation: Generation) -> list[Reason]:
    """An empty, cut or leaking reply is no answer, whatever it says."""
    if not generation.content.strip():
        return [Reason(rule="transport.empty", message="the reply is empty")]
    if generation.finish_reason == "length":
        return [Reason(rule="transport.truncated", message="the reply was cut at the token limit")]
    if generation.finish_reason not in ("stop", None):
        return [Reason(rule="transport.finish", message=f"the reply ended with {generation.finish_reason!r}")]
    for mark in _REASONING_MARKS:
        if mark in generation.content:
            return [Reason(rule="transport.leaked_reasoning", message="reasoning leaked into the reply", span=mark)]
    return []
