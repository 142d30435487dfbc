#!/usr/bin/env bash
# Install what pack.sh has packed beside this machine's own packages, and run the check:
# bash tests/gpu/unpack_and_run.sh [arguments of tests.gpu.check]
set -euo pipefail
site=${TMPDIR:-/tmp}/flowatlas-gpu-site
mkdir -p "$site"
tar xJf .gpu/ray.tar.xz -C "$site"
python3 -m pip install -q --no-index --no-deps --no-compile --upgrade --target "$site" .gpu/wheels/*.whl
export PYTHONPATH=$site:$PWD RAY_USAGE_STATS_ENABLED=0
exec python3 -m tests.gpu.check --output "${OUT:-gpu-results}" "$@"
