#!/bin/sh
# The same from Python.
# Usage: ./09-python.sh [FOLDER]
set -eu
cd "$(dirname "$0")"
out=${1:-$(mktemp -d)}
mkdir -p "$out"

python3 - "$out/removed.mp4" <<'PYTHON'
import sys

from vinpaint_cli import MaskOptions, RemoveOptions, VinpaintError, remove

hole = MaskOptions(masks=("bunny-title-mask.png",), end="f6")
try:
    report = remove("bunny-title.mp4", sys.argv[1], RemoveOptions(mask=hole), overwrite=True)
except VinpaintError as error:
    sys.exit(f"{error} ({error.exit_code})")
print(f"{report.output}: {report.by_propagation:.0%} of the hole with pixels of other frames")
PYTHON
