#!/bin/sh
# Builds the OpenTelemetry Collector of builder.yaml from the Go module proxy into build/peers/otelcol/otelcol, unless that is there.
# Needs Go 1.25, without which it exits with 77. One package at a time and niced: the compiler would take the machine otherwise.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
out=${1:-$here/../../build/peers}
version=v0.161.0
mkdir -p "$out"
out=$(cd "$out" && pwd)
if [ -x "$out/otelcol/otelcol" ] && cmp -s "$here/builder.yaml" "$out/built.yaml"; then
  exit 0
fi
minor=$(go env GOVERSION 2>/dev/null | sed 's/^go1\.\([0-9]*\).*/\1/')
[ "${minor:-0}" -ge 25 ] || { echo "skipped: needs Go 1.25 or later"; exit 77; }
export GOFLAGS="-p=1 -buildvcs=false" GOBIN="$out"
[ -x "$out/builder" ] || nice go install go.opentelemetry.io/collector/cmd/builder@$version
cd "$out"
nice ./builder --config "$here/builder.yaml"
cp "$here/builder.yaml" built.yaml
echo "built $out/otelcol/otelcol"
