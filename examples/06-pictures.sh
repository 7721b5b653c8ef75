#!/bin/sh
# Folders of pictures go in and come out.
# Usage: ./06-pictures.sh [FOLDER]
set -eu
cd "$(dirname "$0")"
out=${1:-$(mktemp -d)}
mkdir -p "$out"

vinpaint remove bunny-title.mp4 --box 85%,0%,15%,26% --end f6 -o "$out/frames" -y
vinpaint remove "$out/frames" --mask bunny-title-mask.png --end f6 -o "$out/frames-removed" -y
