#!/bin/sh
set -eu

LIMIT=4

# Grows it.
grow() {
  LIMIT=$((LIMIT + 1))
}

if [ -n "${DEBUG-}" ]; then
  function show {
    echo "$LIMIT"
  }
fi

grow
