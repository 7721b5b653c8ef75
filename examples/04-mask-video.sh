#!/bin/sh
# Write the hole as a lossless video, to be changed in another program, and use it.
# Usage: ./04-mask-video.sh [FOLDER]
set -eu
cd "$(dirname "$0")"
out=${1:-$(mktemp -d)}
mkdir -p "$out"

vinpaint mask bunny-title.mp4 --mask bunny-title-mask.png --box 85%,0%,15%,26%@-1 --end f12 -o "$out/hole.mkv" -y
vinpaint remove bunny-title.mp4 --mask "$out/hole.mkv" --dilate 0 -o "$out/removed.mp4" -y
