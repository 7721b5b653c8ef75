#!/bin/sh
# The same removal on many clips, two at a time; those that are done already are left alone, what fails
# does not stop the others, and report/index.html shows each before and after.
# Usage: ./08-many-clips.sh [FOLDER]
set -eu
cd "$(dirname "$0")"
out=${1:-$(mktemp -d)}

vinpaint batch '*.mp4' --box 85%,0%,15%,26% --output-dir "$out/clips" --jobs 2 --skip-existing --report "$out/report"
