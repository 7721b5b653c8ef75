#!/bin/sh
# Keep every sample outside the hole bit for bit as it was decoded: a lossless codec, no soft edge.
# Usage: ./05-lossless.sh [FOLDER]
set -eu
cd "$(dirname "$0")"
out=${1:-$(mktemp -d)}
mkdir -p "$out"

vinpaint remove bunny-title.mp4 --box 85%,0%,15%,26% --end f12 --feather 0 --codec ffv1 -o "$out/removed.mkv" -y
