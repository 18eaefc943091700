#!/bin/sh
# Builds the OpenTelemetry Collector of builder.yaml from the Go module proxy into build/peers/otelcol/otelcol.
# Needs Go. One package at a time and niced: the compiler would take the machine otherwise.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
out=${1:-$here/../../build/peers}
version=v0.161.0
mkdir -p "$out"
out=$(cd "$out" && pwd)
export GOFLAGS="-p=1 -buildvcs=false" GOBIN="$out"
[ -x "$out/builder" ] || nice go install go.opentelemetry.io/collector/cmd/builder@$version
cp "$here/builder.yaml" "$out/builder.yaml"
cd "$out"
nice ./builder --config builder.yaml
echo "built $out/otelcol/otelcol"
