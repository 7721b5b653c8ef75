#!/bin/sh
# Remove what is white in a picture of the clip's size: here a burned-in title and a logo.
# Usage: ./01-remove-with-mask.sh [FOLDER]      the result goes there, by default to a new folder
set -eu
cd "$(dirname "$0")"
out=${1:-$(mktemp -d)}
mkdir -p "$out"

vinpaint remove bunny-title.mp4 --mask bunny-title-mask.png -o "$out/removed.mp4" -y
