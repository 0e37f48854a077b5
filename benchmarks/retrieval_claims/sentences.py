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

THIRD_FORMS: dict[str, tuple[str, ...]] = {
    "default": (
        "When the caller does not specify {s}, {v} is used.",
        "Does {s} still have {v} as its default?",
        "Default value of {s}: must be {v}.",
        "Please make sure the default for {s} has not drifted away from {v}.",
        "We rely on {v} being assumed for {s} whenever it is omitted.",
    ),
    "constant": (
        "Make sure {v} is what was assigned to {s}.",
        "{s} should be defined as {v}.",
        "Value of {s}: expected {v}.",
        "Our runbook states {v} for {s}; please compare with the source.",
        "Can you find in the code that {s} was given the value {v}?",
    ),
    "switch": (
        "Is {s} {v} in a fresh installation?",
        "Initial state of {s}: {v}.",
        "Without any explicit setting we expect {s} to be {v}.",
        "Make sure that {s} stays {v} until a user changes it.",
        "The factory setting leaves {s} {v}.",
    ),
    "exception-base": (
        "Is {v} a base class of {s}?",
        "{s} must extend {v}.",
        "Handlers written for {v} should work for {s} too.",
        "Make sure that in the class hierarchy {s} sits below {v}.",
        "We count on {s} being a kind of {v}.",
    ),
    "raise": (
        "Does {s} throw {v} in this situation: {a}?",
        "When {a}, {s} is supposed to throw {v}.",
        "Expected error from {s}: {v} ({a}).",
        "Be prepared to catch {v} from {s} in case {a}.",
        "Make sure that {s} does not go on silently but signals {v}: {a}.",
    ),
    "environment-name": (
        "Which variable controls {s}? It should be {v}.",
        "Exporting {v} in the shell must be enough to change {s}.",
        "Make sure operators can override {s} by setting {v} before start.",
        "{s} takes its value from the env var {v}.",
        "Our deployment guide names {v} as the variable behind {s}; please double-check.",
    ),
    "environment-default": (
        "If the variable is unset, {s} becomes {v}.",
        "Is {v} assumed for {s} when no env var has been exported?",
        "Fallback for {s} in case the environment is silent: {v}.",
        "Make sure a container started without extra env vars gets {v} for {s}.",
        "We expect {v} for {s} on a host where nobody has defined the variable.",
    ),
    "enum-member": (
        "Does the member {s} carry the value {v}?",
        "Make sure that {s} is encoded as {v}.",
        "Enum value behind {s}: {v} expected.",
        "{s} should resolve to {v}.",
        "Whoever reads the value of {s} must receive {v}.",
    ),
    "docstring-number": (
        "The docs for {s} state the following: {a}.",
        "Is it still written in the docstring of {s} that {a}?",
        "Documented behaviour of {s}: {a}.",
        "Please compare with the description of {s}: {a}.",
        "As we read it in the reference for {s}, {a}.",
    ),
    "since": (
        "Which release deprecated {s}? It should be {v}.",
        "Version {v} marks {s} as deprecated.",
        "The deprecation of {s} began with release {v}.",
        "Make sure {s} carries a deprecation notice dating from {v}.",
        "Flag every use of {s}, as it is deprecated as of {v}.",
    ),
    "instead": (
        "Migrate from {s}, which is deprecated, to {v}.",
        "Is {v} the recommended successor of {s}?",
        "Code that still relies on {s} should switch over to {v}.",
    ),
    "warning": (
        "Does {s} trigger a {v} with this reason: {a}?",
        "Expect a {v} to be emitted by {s}, since {a}.",
        "Make sure the logs show a {v} whenever {s} is used: {a}.",
    ),
}
"""Written by somebody who had read the other two tables and nothing else of this project."""
