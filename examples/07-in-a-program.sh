#!/bin/sh
# Use the results in another program: data on stdout, everything for people on stderr.
# Usage: ./07-in-a-program.sh [FOLDER]
set -eu
cd "$(dirname "$0")"
out=${1:-$(mktemp -d)}
mkdir -p "$out"

vinpaint info bunny-title.mp4 --json > "$out/info.json"
vinpaint remove bunny-title.mp4 --box 85%,0%,15%,26% --end f6 -o "$out/removed.mp4" -y -q --json |
    python3 -c 'import json, sys; done = json.load(sys.stdin); print(done["output"], done["by_propagation"])'
