"""Write data/retrieval and data/study anew: `python -m benchmarks.retrieval_claims [--check] [--show FAMILY]`."""

from __future__ import annotations

import argparse
import sys

from benchmarks.retrieval_claims import sets


def main() -> None:
    parser = argparse.ArgumentParser(description="The retrieval test set, made from the installed packages.")
    parser.add_argument("--check", action="store_true", help="write nothing; fail where a file would change")
    options = parser.parse_args()
    changed = False
    for path, content in sets.files().items():
        old = path.read_text(encoding="utf-8") if path.exists() else ""
        changed |= old != content
        if not options.check:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(content, encoding="utf-8")
        print(f"{path.relative_to(sets.ROOT)}: {content.count(chr(10))} lines{'' if old == content else ', changed'}")
    sys.exit(options.check and changed)


if __name__ == "__main__":
    main()
