"""The corpus on disk: immutable versions, named by their content, published by swapping one pointer.

Layout of a corpus directory::

    segments/seg_<16 hex>.index       a run of records of one group: postings, ids, digests; mapped
    segments/seg_<16 hex>.records     the records, a line of canonical JSON each; mapped
    segments/seg_<16 hex>.lines       of sources: what choosing lines needs; mapped
    versions/corpus_<16 hex>.json     the manifest of a version: its segments, with the SHA-256 of their files
    current                           the version that new tasks use; replaced atomically
    log.jsonl                         a line for each publish
    write.lock, compact.lock          held while a version is made, or segments are merged; they say by whom
    work/, merging/                   files on their way; emptied by the next writer

Segments never change. A publish writes new ones beside those that stay, and a compaction puts larger ones in place of
small ones under the same version. Old versions stay, since evidence names them. What is lost can be built again from
the sources and playbooks; the log may be lost at any time.

This module is the front door: the modules behind it are told apart by what they do.
"""

from replay.corpus.changing import add, grow, import_playbook, replace_origins, replace_sources, revise, use, write
from replay.corpus.compaction import Compaction, compact, is_due
from replay.corpus.comparison import Diff, diff
from replay.corpus.group import Group
from replay.corpus.history import read as history
from replay.corpus.manifest import BUILD_HINT, Published
from replay.corpus.opening import POINTER, Snapshot, current_version, load, named

__all__ = [
    "BUILD_HINT",
    "POINTER",
    "Compaction",
    "Diff",
    "Group",
    "Published",
    "Snapshot",
    "add",
    "compact",
    "current_version",
    "diff",
    "grow",
    "history",
    "import_playbook",
    "is_due",
    "load",
    "named",
    "replace_origins",
    "replace_sources",
    "revise",
    "use",
    "write",
]
