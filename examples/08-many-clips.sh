#!/bin/sh
# The same removal on many clips; those that are done already are left alone (-n never overwrites).
# Usage: ./08-many-clips.sh [FOLDER]
set -eu
cd "$(dirname "$0")"
out=${1:-$(mktemp -d)}
mkdir -p "$out"

for clip in *.mp4; do
    [ -e "$out/$clip" ] || vinpaint remove "$clip" --box 85%,0%,15%,26% --end f6 -o "$out/$clip" -n
done
