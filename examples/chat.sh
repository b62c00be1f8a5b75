#!/bin/sh
# A chat completion against the `yard dev` of this machine, with nothing but curl and the files that it leaves.
set -eu
dir="${YARD_DATA_DIR:-${XDG_STATE_HOME:-$HOME/.local/state}/yardmaster}"
gateway=$(sed -n 's/.*"gateway": *"\([^"]*\)".*/\1/p' "$dir/dev.json")
key=$(cat "$dir/admin.key")
curl -sS "$gateway/v1/chat/completions" \
  -H "Authorization: Bearer $key" -H 'Content-Type: application/json' \
  -d '{"model": "tiny", "max_tokens": 32, "messages": [{"role": "user", "content": "Hello"}]}'
