#!/bin/sh
# Point at the logo on one frame, look at the mask that follows it, point once more where it is uncertain, remove.
# Usage: ./click.sh [FOLDER]
set -eu
cd "$(dirname "$0")"
out=${1:-$(mktemp -d)}
mkdir -p "$out"

# A box around it and a click inside. The sheet and the note say that the mask is lost where the sky is as
# white as the logo, from f63 on.
vinpaint mask bunny-title.mp4 --box-prompt 555,14,68,64@f30 --click 588,45@f30 --preview "$out/first.jpg" -y

# The same again on one of those frames, and the masks are whole. A frame that is still wrong could be
# corrected in an image editor and put in with --fix f52=fixed.png.
vinpaint mask bunny-title.mp4 --box-prompt 555,14,68,64@f30 --click 588,45@f30 --box-prompt 555,14,68,64@f83 --click 588,45@f83 -o "$out/masks.mkv" --preview "$out/second.jpg" --overlay "$out/overlay.mp4" -y

# What was looked at is what is removed.
vinpaint remove bunny-title.mp4 --mask "$out/masks.mkv" --dilate 0 -o "$out/by-click.mp4" -y
