"""The sentences of generated claims, by what they say: {s} is the subject, {v} the value, {a} when or how."""

from __future__ import annotations

_DEFAULT = (
    "Verify that {s} defaults to {v}.",
    "Check that {s} is {v} by default.",
    "Confirm that {s} is {v} unless something else is given.",
    "Verify that {s} is {v} out of the box.",
    "Ensure that {v} is what {s} starts with.",
)
FORMS: dict[str, tuple[str, ...]] = {
    "default": _DEFAULT,
    "constant": (
        "Verify that {s} is {v}.",
        "Check that {s} is set to {v}.",
        "Confirm that {s} has the value {v}.",
        "Verify that {v} is the value of {s}.",
    ),
    "switch": (
        "Verify that {s} is {v} by default.",
        "Check that {s} is {v} unless it is configured.",
        "Confirm that by default {s} is {v}.",
    ),
    "exception-base": (
        "Verify that {s} derives from {v}.",
        "Check that {s} is a subclass of {v}.",
        "Confirm that whoever catches {v} also catches {s}.",
        "Verify that {s} is a {v}.",
    ),
    "raise": (
        "Verify that {s} raises {v}: {a}.",
        "Check that {s} fails with {v} when {a}.",
        "Confirm that {v} is raised by {s} if {a}.",
        "Verify that {s} answers with a {v} ({a}).",
    ),
    "environment-name": (
        "Verify that {s} is read from the environment variable {v}.",
        "Check that the environment variable {v} decides {s}.",
        "Confirm that {s} looks at {v} in the environment.",
    ),
    "environment-default": (
        "Verify that {s} counts as {v} where the environment does not set it.",
        "Check that without an environment variable {s} is {v}.",
        "Confirm that {s} falls back to {v}.",
    ),
    "enum-member": (
        "Verify that {s} has the value {v}.",
        "Check that {s} stands for {v}.",
        "Confirm that {v} is the value behind {s}.",
    ),
    "docstring-number": (
        "Verify that {s} is documented so: {a}.",
        "Check what the documentation of {s} says: {a}.",
        "Confirm for {s} that {a}.",
    ),
    "since": (
        "Verify that {s} is deprecated since version {v}.",
        "Check that {s} was deprecated in {v}.",
        "Confirm that {s} counts as deprecated from {v} on.",
    ),
    "instead": (
        "Verify that {s} is deprecated in favour of {v}.",
        "Check that users of the deprecated {s} are pointed to {v}.",
    ),
    "warning": (
        "Verify that {s} warns with {v}: {a}.",
        "Check that {s} issues a {v} because {a}.",
    ),
}


HELD_OUT_FORMS: dict[str, tuple[str, ...]] = {
    "default": (
        "If {s} is left alone, its value is {v}.",
        "Audit whether {s} comes preset to {v}.",
        "{s} is meant to be {v} as long as nobody chooses another.",
    ),
    "constant": ("{s} holds {v}.", "The code fixes {s} at {v}.", "Is {s} equal to {v}?"),
    "switch": ("Left alone, {s} is {v}.", "Someone who touches nothing gets {s} as {v}."),
    "exception-base": ("{s} inherits from {v}.", "An except clause for {v} takes in {s}.", "The parent of {s} is {v}."),
    "raise": (
        "{s} ends in {v}: {a}.",
        "Callers of {s} meet {v} as soon as {a}.",
        "{v} comes out of {s} ({a}).",
    ),
    "environment-name": ("{v} in the process environment governs {s}.", "{s} consults {v}."),
    "environment-default": (
        "With an empty environment, {s} is {v}.",
        "{s} is {v} for a process that inherits nothing.",
    ),
    "enum-member": ("{s} is written {v}.", "{s} maps to {v}."),
    "docstring-number": ("{s} promises: {a}.", "According to {s}, {a}."),
    "since": ("{s} has been obsolete since {v}.", "From {v} on nobody should use {s}."),
    "instead": ("{s} is obsolete; {v} takes its place.", "{v} replaces {s}."),
    "warning": ("Using {s} brings up a {v}: {a}.", "{s} complains by {v}: {a}."),
}
"""Other sentences than those that anybody chooses by: what was fitted to the wording above shows here."""
