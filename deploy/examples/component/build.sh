#!/usr/bin/env bash
# Makes dist/worker.wasm with componentize-js, when its inputs have changed.
set -euo pipefail
cd "$(dirname "$0")"

inputs=$(cat build.sh build.mjs package.json src/* | sha256sum | cut -d' ' -f1)
[ -f dist/worker.wasm ] && [ "$(cat dist/.inputs 2>/dev/null)" = "$inputs" ] && exit 0

# The test set-up of this repository installs the same versions; elsewhere npm does.
if [ ! -d node_modules/@bytecodealliance/componentize-js ]; then
    rm -rf node_modules
    if [ -d ../../../.tools/components/node_modules/@bytecodealliance/componentize-js ]; then
        ln -s ../../../.tools/components/node_modules node_modules
    else
        echo "installing componentize-js" >&2
        # No lock file: npm refuses `ci` where a registry lacks optional binaries of other platforms.
        npm install --no-package-lock --ignore-scripts --no-audit --no-fund --loglevel=error >/dev/null
    fi
fi
mkdir -p dist/wit/deps
cp src/world.wit dist/wit/
cp -r node_modules/@bytecodealliance/jco/lib/wit/builtin/0.2.12/. dist/wit/deps/
# componentize-js exports its handler as 0.2.10, whose declarations are the same.
sed -i 's/@0\.2\.12/@0.2.10/g' dist/wit/deps/*/package.wit
node build.mjs
echo "$inputs" > dist/.inputs
