#!/usr/bin/env bash
# demo.sh: starts a node on loopback, deploys every example, to two environments where that shows something, asks them
# over HTTP and HTTPS, and shows clone, diff, promote, rollback and the audit log. The node then runs until Ctrl-C.
#
#   SKERRY_BIN_DIR   where skerry-node and skerry are        [target/release]
#   DEMO_DIR         the node's data; removed at the start   [.demo beside this repository's Makefile]
#   DEMO_EXIT=1      end instead of waiting for Ctrl-C
#   DEMO_HTTP_PORT, DEMO_HTTPS_PORT, DEMO_API_PORT           [8080, 8443, 8700; 0 picks free ones]
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
# Relative paths are the caller's: whole before this script goes elsewhere.
bin=$(realpath -m "${SKERRY_BIN_DIR:-$root/target/release}")
dir=$(realpath -m "${DEMO_DIR:-$root/.demo}")
examples=$root/deploy/examples
export PATH=$bin:$PATH

bold() { printf '\n\033[1m%s\033[0m\n' "$*"; }
show() { printf '\033[2m$ %s\033[0m\n' "$*"; "$@"; }
fail() { echo "demo: $*" >&2; exit 1; }

for program in "$bin/skerry-node" "$bin/skerry"; do [ -x "$program" ] || fail "$program is missing: run make build"; done

case "$dir" in
    */.demo | /tmp/*) rm -rf "$dir" ;;
    *) [ ! -e "$dir" ] || fail "$dir exists; remove it or choose another DEMO_DIR" ;;
esac
mkdir -p "$dir"
: > "$dir/ready"

bold "A node on loopback, its data in $dir"
skerry-node --data-dir "$dir/node" --bootstrap --node-name demo --domain workers.localhost --log-format json \
    --http "127.0.0.1:${DEMO_HTTP_PORT:-8080}" --https "127.0.0.1:${DEMO_HTTPS_PORT:-8443}" \
    --api "127.0.0.1:${DEMO_API_PORT:-8700}" --metrics 127.0.0.1:0 --mesh off --dns off \
    > "$dir/ready" 2> "$dir/node.log" &
node=$!
stop() { kill -TERM "$node" 2>/dev/null && wait "$node" 2>/dev/null || true; }
trap stop EXIT
for _ in $(seq 600); do
    grep -q '"ready"' "$dir/ready" && break
    kill -0 "$node" 2>/dev/null || { tail -n 20 "$dir/node.log" >&2; fail "skerry-node ended"; }
    sleep 0.1
done
grep -q '"ready"' "$dir/ready" || { tail -n 20 "$dir/node.log" >&2; fail "skerry-node was not ready within a minute"; }
address() { sed -n "s/.*\"$1\":\"\([^\"]*\)\".*/\1/p" "$dir/ready" | tail -n 1; }
http=$(address http) https=$(address https)
export SKERRY_API=http://$(address api) SKERRY_TOKEN_FILE=$dir/node/admin.token SKERRY_CA=$dir/node/ca.pem
echo "HTTP $http, HTTPS $https, API $SKERRY_API"

# Names below .localhost need no DNS in browsers; curl is told where they are, so that this works anywhere.
url() { printf 'http://%s:%s%s' "$1" "${http##*:}" "${2:-/}"; }
get() { # get HOST PATH [CURL OPTION...]
    local host=$1 path=$2; shift 2
    printf '\033[2m$ curl %s\033[0m\n  ' "$(url "$host" "$path")${*:+ $*}"
    curl -sS --max-time 20 --connect-to "::$http" "$@" "$(url "$host" "$path")"; echo
}
get_tls() { # get_tls HOST PATH: the certificate is checked against the cluster's CA
    printf '\033[2m$ curl --cacert ca.pem https://%s:%s%s\033[0m\n  ' "$1" "${https##*:}" "$2"
    curl -sS --max-time 20 --connect-to "::$https" --cacert "$dir/node/ca.pem" "https://$1:${https##*:}$2"; echo
}

# Examples are copied, so that the demo can change one without touching the repository.
cp -r "$examples" "$dir/examples"
cd "$dir/examples"
quietly() { "$@" > "$dir/last.log" 2>&1 || { cat "$dir/last.log" >&2; fail "$*"; }; }

bold "hello: JavaScript, in two environments"
show skerry deploy --config hello/wrangler.toml
quietly skerry deploy --config hello/wrangler.toml --env staging
get hello.workers.localhost /
get staging.hello.workers.localhost /
get_tls hello.workers.localhost /over-tls
get_tls staging.hello.workers.localhost /over-tls

bold "api: TypeScript, hono from npm, KV; staging has notes of its own"
(cd api && quietly npm ci --ignore-scripts --no-audit --no-fund)
show skerry deploy --config api/wrangler.jsonc
quietly skerry deploy --config api/wrangler.jsonc --env staging
get api.workers.localhost /notes/tide -X PUT -d "high water at noon"
get api.workers.localhost /notes/tide
get api.workers.localhost /notes
get staging.api.workers.localhost /notes

bold "gateway: two services behind it, called in-process through bindings"
for service in auth orders gateway; do
    for environment in production staging; do
        extra=()
        if [ "$service" = auth ]; then
            echo 'TOKEN=demo-token' > "$dir/secrets"
            extra=(--secrets-file "$dir/secrets")
        fi
        quietly skerry deploy --config gateway/$service/wrangler.toml --env "$environment" "${extra[@]}"
    done
done
rm -f "$dir/secrets"
get gateway.workers.localhost /
get gateway.workers.localhost / -H "authorization: Bearer demo-token"
get staging.gateway.workers.localhost / -H "authorization: Bearer demo-token"

bold "canary: binds two environments of one service, and repeats GET where the canary fails"
for environment in production canary; do quietly skerry deploy --config canary/shop/wrangler.toml --env $environment; done
quietly skerry deploy --config canary/canary/wrangler.toml --var CANARY_PERCENT=100
get canary.workers.localhost / -i
get canary.workers.localhost /broken -i

bold "component: WebAssembly made by componentize-js"
# Its toolchain is found from the repository, not from the copy.
quietly "$examples/component/build.sh"
mkdir -p component/dist
cp "$examples"/component/dist/worker.wasm component/dist/
ln -sfn "$examples/component/node_modules" component/node_modules
cp "$examples"/component/dist/.inputs component/dist/
quietly skerry deploy --config component/wrangler.toml
get component.workers.localhost /
get component.workers.localhost /hello

bold "Environments: clone, change, compare, promote, roll back"
show skerry env clone production preview --service hello
sed -i 's/Response.json({/Response.json({ news: "from the preview",/' hello/src/index.js
quietly skerry deploy --config hello/wrangler.toml --env preview --message "Say the news"
get preview.hello.workers.localhost /
get hello.workers.localhost /
show skerry diff preview production --service hello
show skerry promote preview production --service hello --yes --message "Ship the news"
get hello.workers.localhost /
show skerry rollback --service hello --yes --message "Too early"
get hello.workers.localhost /
show skerry deployments list --service hello
show skerry audit --service hello --limit 12

bold "What runs"
show skerry service list
cat <<TEXT

Try it:
  export SKERRY_API=$SKERRY_API SKERRY_TOKEN_FILE=$SKERRY_TOKEN_FILE SKERRY_CA=$SKERRY_CA PATH=$bin:\$PATH
  curl $(url hello.workers.localhost)
  curl --cacert $dir/node/ca.pem https://hello.workers.localhost:${https##*:}/
  skerry status; skerry tail --service hello
TEXT
[ "${DEMO_EXIT:-}" = 1 ] && exit 0
bold "The node runs until Ctrl-C"
trap 'exit 0' INT TERM
wait "$node"
