#!/bin/sh
# Draw a box around the logo on one frame, look at the mask that follows it, and remove it.
# Usage: ./10-click.sh [FOLDER]
set -eu
cd "$(dirname "$0")"
out=${1:-$(mktemp -d)}
mkdir -p "$out"

# The sheet shows the least certain frames first. Where one is wrong, point once more (--click X,Y@f57), or
# correct it in an image editor and put it in with --fix f57=fixed.png.
vinpaint mask bunny-title.mp4 --box-prompt 552,8,80,78@f30 -o "$out/masks.mkv" --preview "$out/sheet.jpg" --overlay "$out/overlay.mp4" -y

# What was looked at is what is removed.
vinpaint remove bunny-title.mp4 --mask "$out/masks.mkv" --dilate 0 -o "$out/by-click.mp4" -y
