#!/bin/sh
# Look before a long run: draw the hole over a few frames, then print the plan and about how long it takes.
# Usage: ./03-look-before.sh [FOLDER]
set -eu
cd "$(dirname "$0")"
out=${1:-$(mktemp -d)}
mkdir -p "$out"

vinpaint remove bunny-title.mp4 --mask bunny-title-mask.png --dilate 6 --preview "$out/preview.png" -y
vinpaint remove bunny-title.mp4 --mask bunny-title-mask.png --dilate 6 --dry-run
