#!/bin/sh
# Loads models in several ways. Needs a running `yard dev`; the simulated ones take a second.
set -eu
yard load builtin:tiny-embed
yard load sim:llama-70b --name big --replicas 2 --context 8192 --concurrency 64
yard load builtin:tiny --name styled --adapter pirate=builtin:tiny-lora
yard list
