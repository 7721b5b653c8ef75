#!/bin/sh
# Remove a rectangle, given in percents of the picture, during one second only; the rest is untouched.
# Usage: ./02-remove-with-box.sh [FOLDER]
set -eu
cd "$(dirname "$0")"
out=${1:-$(mktemp -d)}
mkdir -p "$out"

vinpaint remove bunny-title.mp4 --box 85%,0%,15%,26%@0.5-1.5 -o "$out/no-logo.mp4" -y
