#!/usr/bin/env bash
# build.sh [OUTPUT_DIRECTORY]: makes the test components with other people's toolchains, and only when an input has changed.
# echo-js.wasm by componentize-js (npm), echo-py.wasm by componentize-py (PyPI). Default: target/components.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../../.." && pwd)
output=${1:-${CARGO_TARGET_DIR:-$root/target}/components}
tools=$root/.tools

COMPONENTIZE_PY_VERSION=0.25.1

# A relative path is the caller's, so it becomes whole before this script goes to its own folder, whose hash is the input.
mkdir -p "$output" "$tools"
output=$(cd "$output" && pwd)
cd "$here"
exec 9> "$output/.lock"
flock 9

say() { printf 'test components: %s\n' "$*" >&2; }

inputs=$(find "$here" "$root/node/wit" -type f ! -path '*/__pycache__/*' -print0 | sort -z | xargs -0 sha256sum |
    sed "s|$root/||" | sha256sum | cut -d' ' -f1)
if [ "$(cat "$output/.inputs" 2>/dev/null)" = "$inputs" ] && [ -f "$output/echo-js.wasm" ] && [ -f "$output/echo-py.wasm" ]; then
    exit 0
fi

# No lock file: npm refuses `ci` where a registry lacks optional binaries of other platforms. The toolchain itself is pinned.
pins=$(sha256sum package.json | cut -d' ' -f1)
if [ "$(cat "$tools/components/.pins" 2>/dev/null)" != "$pins" ]; then
    say "installing componentize-js"
    mkdir -p "$tools/components"
    cp package.json "$tools/components/"
    npm install --prefix "$tools/components" --ignore-scripts --no-package-lock --no-audit --no-fund --loglevel=error >/dev/null
    echo "$pins" > "$tools/components/.pins"
fi
[ -x "$tools/venv/bin/python" ] || python3 -m venv "$tools/venv"
if ! "$tools/venv/bin/python" -c "import importlib.metadata as m; assert m.version('componentize-py') == '$COMPONENTIZE_PY_VERSION'" 2>/dev/null; then
    say "installing componentize-py $COMPONENTIZE_PY_VERSION"
    "$tools/venv/bin/pip" install -q "componentize-py==$COMPONENTIZE_PY_VERSION"
fi

# The official WIT of WASI comes with jco; the packages that Skerry offers beside it are its own files.
wit=$(mktemp -d)
trap 'rm -rf "$wit"' EXIT
for language in js py; do
    mkdir -p "$wit/$language/deps"
    cp "$language/world.wit" "$wit/$language/"
    cp -r "$tools/components/node_modules/@bytecodealliance/jco/lib/wit/builtin/0.2.12/." "$wit/$language/deps/"
    cp "$root"/node/wit/deps/*.wit "$wit/$language/deps/"
done
# componentize-js exports its handler as 0.2.10, whose declarations are the same.
sed -i 's/@0\.2\.12/@0.2.10/g' "$wit"/js/deps/*/package.wit

say "making echo-js.wasm"
cp componentize.mjs "$tools/components/"
node "$tools/components/componentize.mjs" "$here/js/echo.js" "$wit/js" echo "$output/echo-js.wasm"

say "making echo-py.wasm"
PYTHONDONTWRITEBYTECODE=1 "$tools/venv/bin/componentize-py" -q -d "$wit/py" -w echo componentize -p "$here/py" app \
    -o "$output/echo-py.wasm"
rm -rf "$here/py/__pycache__"

echo "$inputs" > "$output/.inputs"
