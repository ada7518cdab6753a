#!/bin/sh
# Compiles a training step of Qwen3-1.7B for 8 v5p chips, MaxText's and ours, and compares them.
# No TPU is needed: libtpu compiles for chips that are not there. A quarter of an hour on two cores.
#
#   benchmarks/peers/maxtext_compile.sh PLACE [--rounds N] [--json FILE]
#
# PLACE is the Python of an environment that has MaxText 0.2.5 with its TPU extra and ruamel.yaml, or
# a directory in which to make one, from the package index that pip is set up for; for that a
# Python 3.12 is needed, python3.12 or what PYTHON312 names. Ours is compiled there too, so that
# both are judged by one compiler, and in the project's environment (.venv, or what PYTHON names).
set -eu

[ $# -gt 0 ] || { sed -n 's/^#   //p' "$0" >&2; exit 2; }
place=$1
shift
repository=$(cd "$(dirname "$0")/../.." && pwd)
ours=${PYTHON:-$repository/.venv/bin/python}

if [ -f "$place" ]; then
  theirs=$place
else
  theirs=$place/bin/python
  if [ ! -x "$theirs" ]; then
    "${PYTHON312:-python3.12}" -m venv "$place"
    "$theirs" -m pip install --quiet --disable-pip-version-check 'maxtext[tpu]==0.2.5' ruamel.yaml
  fi
fi

exec "$ours" "$repository/benchmarks/maxtext_compile.py" --peer-python "$theirs" "$@"
