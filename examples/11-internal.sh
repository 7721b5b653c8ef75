#!/bin/sh
# Fit a network to the clip for a few minutes, and fill with it what no frame shows.
# Usage: ./11-internal.sh [FOLDER]
set -eu
cd "$(dirname "$0")"
out=${1:-$(mktemp -d)}
mkdir -p "$out"

# Ctrl-C keeps the best there is; the same command goes on. More minutes may do better: it says how well.
vinpaint train-internal bunny-title.mp4 --mask bunny-title-mask.png --minutes 5 --out "$out/bunny.internal.safetensors" -y

vinpaint remove bunny-title.mp4 --mask bunny-title-mask.png --method internal --weights "$out/bunny.internal.safetensors" -o "$out/internal.mp4" -y
