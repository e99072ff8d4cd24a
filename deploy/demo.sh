#!/usr/bin/env bash
# demo.sh: starts a cluster of three nodes on loopback (real processes, mutual TLS between them), deploys each example
# at one node and asks for it at another over HTTP and HTTPS, shows clone, diff, promote, rollback and the audit log, and
# then kills a node: requests are answered and deploys work meanwhile. The cluster then runs until Ctrl-C.
#
#   SKERRY_BIN_DIR   where skerry-node and skerry are            [target/release]
#   DEMO_DIR         the cluster's data; removed at the start    [.demo beside this repository's Makefile]
#   DEMO_EXIT=1      end instead of waiting for Ctrl-C
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
# Relative paths are the caller's: whole before this script goes elsewhere.
bin=$(realpath -m "${SKERRY_BIN_DIR:-$root/target/release}")
dir=$(realpath -m "${DEMO_DIR:-$root/.demo}")
examples=$root/deploy/examples
export PATH=$bin:$PATH SKERRY_NODE_BIN=$bin/skerry-node

bold() { printf '\n\033[1m%s\033[0m\n' "$*"; }
show() { printf '\033[2m$ %s\033[0m\n' "$*"; "$@"; }
fail() { echo "demo: $*" >&2; exit 1; }

for program in "$bin/skerry-node" "$bin/skerry"; do
    [ -x "$program" ] || fail "$program is missing: run make build"
done

case "$dir" in
    */.demo | /tmp/*) rm -rf "$dir" ;;
    *) [ ! -e "$dir" ] || fail "$dir exists; remove it or choose another DEMO_DIR" ;;
esac
mkdir -p "$dir"
cluster=$dir/cluster

bold "Three nodes on loopback, their data in $cluster"
# In sessions of their own: a Ctrl-C in the terminal is for this script, which then stops them once, in order.
setsid skerry cluster up --nodes 3 --dir "$cluster" --json > "$dir/cluster.json" 2> "$dir/cluster.log" &
up=$! again=
stop() {
    for process in $again $up; do kill -TERM "$process" 2>/dev/null && wait "$process" 2>/dev/null || true; done
}
trap stop EXIT
# The nodes as arrays, from 0.
name=() http=() https=() api=() config=() log=() pid=()
nodes() {
    python3 - "$dir/cluster.json" <<'PYTHON'
import json, shlex, sys
nodes = json.load(open(sys.argv[1]))["nodes"]
for key in ["name", "http", "https", "api", "config", "log", "pid"]:
    print(f"{key}=({' '.join(shlex.quote(str(node[key])) for node in nodes)})")
PYTHON
}
# BOUND: three nodes on a busy machine; the first also compiles the engine.
for _ in $(seq 3000); do
    found=$(nodes 2>/dev/null) && break
    kill -0 "$up" 2>/dev/null || { cat "$dir/cluster.log" >&2; fail "the cluster did not start"; }
    sleep 0.1
done
[ -n "${found:-}" ] || { cat "$dir/cluster.log" >&2; fail "the cluster was not ready within five minutes"; }
eval "$found"
# SKERRY_API, SKERRY_TOKEN_FILE and SKERRY_CA.
# shellcheck source=/dev/null
. "$cluster/env"
show skerry cluster status

# Every node has the whole API. at N COMMAND...: with node N (1 to 3) as the one that is asked.
at() {
    local api_at=http://${api[$1 - 1]}; shift
    printf '\033[2m$ SKERRY_API=%s %s\033[0m\n' "$api_at" "$*"
    SKERRY_API=$api_at "$@"
}
# The same without a word, unless it fails.
quietly_at() {
    local api_at=http://${api[$1 - 1]}; shift
    SKERRY_API=$api_at "$@" > "$dir/last.log" 2>&1 || { cat "$dir/last.log" >&2; fail "$*"; }
}
quietly() { quietly_at 1 "$@"; }

# Names below .localhost need no DNS in browsers; curl is told where they are, so that this works anywhere.
url() { printf 'http://%s:%s%s' "$2" "${http[$1 - 1]##*:}" "${3:-/}"; }
# get N HOST PATH [CURL OPTION...]: asks node N. Where a deploy was made it is live at once, elsewhere within moments.
get() {
    local node=$1 host=$2 path=$3; shift 3
    printf '\033[2m$ curl %s\033[0m\n  ' "$(url "$node" "$host" "$path")${*:+ $*}"
    asked --connect-to "::${http[$node - 1]}" "$@" "$(url "$node" "$host" "$path")"
}
# get_tls N HOST PATH: the certificate is checked against the cluster's CA.
get_tls() {
    local node=$1 address=https://$2:${https[$1 - 1]##*:}$3
    printf '\033[2m$ curl --cacert ca.pem %s\033[0m\n  ' "$address"
    asked --connect-to "::${https[$node - 1]}" --cacert "$SKERRY_CA" "$address"
}
asked() {
    for _ in $(seq 100); do
        curl -sS --max-time 20 "$@" > "$dir/answer" || { sleep 0.1; continue; }
        grep -q '<title>There is nothing here yet</title>' "$dir/answer" || break
        sleep 0.1
    done 2> "$dir/curl.log"
    [ -s "$dir/answer" ] || { cat "$dir/curl.log" >&2; fail "no answer: curl $*"; }
    cat "$dir/answer"; echo
}
# until_says N HOST TEXT: until node N answers with TEXT.
until_says() {
    for _ in $(seq 300); do
        curl -sS --max-time 5 --connect-to "::${http[$1 - 1]}" "$(url "$1" "$2")" 2>/dev/null | grep -q "$3" && return
        sleep 0.1
    done
    fail "node $1 does not answer with $3 at $2"
}
# Exit code 3: it is deployed, and a node has not said yet that it serves it.
or_unknown() { "$@" || [ $? = 3 ]; }

# Examples are copied, so that the demo can change one without touching the repository.
cp -r "$examples" "$dir/examples"
cd "$dir/examples"

bold "hello: JavaScript, in two environments; deployed at node 2, asked for at nodes 1 and 3"
or_unknown at 2 skerry deploy --wait --config hello/wrangler.toml
quietly_at 2 skerry deploy --config hello/wrangler.toml --env staging
get 1 hello.workers.localhost /
get 3 staging.hello.workers.localhost /
get_tls 3 hello.workers.localhost /over-tls
get_tls 1 staging.hello.workers.localhost /over-tls

bold "api: TypeScript, hono from npm, KV; staging has notes of its own; deployed at node 3, asked for at node 1"
(cd api && quietly npm ci --ignore-scripts --no-audit --no-fund)
at 3 skerry deploy --config api/wrangler.jsonc
quietly_at 3 skerry deploy --config api/wrangler.jsonc --env staging
get 1 api.workers.localhost /notes/tide -X PUT -d "high water at noon"
get 1 api.workers.localhost /notes/tide
get 1 api.workers.localhost /notes
get 1 staging.api.workers.localhost /notes

bold "gateway: two services behind it, called in-process through bindings; deployed at node 1, asked for at 2 and 3"
for service in auth orders gateway; do
    for environment in production staging; do
        extra=()
        if [ "$service" = auth ]; then
            echo 'TOKEN=demo-token' > "$dir/secrets"
            extra=(--secrets-file "$dir/secrets")
        fi
        quietly_at 1 skerry deploy --config gateway/$service/wrangler.toml --env "$environment" "${extra[@]}"
    done
done
rm -f "$dir/secrets"
get 2 gateway.workers.localhost /
get 2 gateway.workers.localhost / -H "authorization: Bearer demo-token"
get 3 staging.gateway.workers.localhost / -H "authorization: Bearer demo-token"

bold "canary: binds two environments of one service, and repeats GET where the canary fails; at node 2, then node 3"
for environment in production canary; do
    quietly_at 2 skerry deploy --config canary/shop/wrangler.toml --env $environment
done
quietly_at 2 skerry deploy --config canary/canary/wrangler.toml --var CANARY_PERCENT=100
get 3 canary.workers.localhost / -i
get 3 canary.workers.localhost /broken -i

bold "component: WebAssembly made by componentize-js; deployed at node 3, asked for at node 2"
# Its toolchain is found from the repository, not from the copy.
quietly "$examples/component/build.sh"
mkdir -p component/dist
cp "$examples"/component/dist/worker.wasm component/dist/
ln -sfn "$examples/component/node_modules" component/node_modules
cp "$examples"/component/dist/.inputs component/dist/
quietly_at 3 skerry deploy --config component/wrangler.toml
get 2 component.workers.localhost /
get 2 component.workers.localhost /hello

bold "Environments: clone, change, compare, promote, roll back"
show skerry env clone production preview --service hello
sed -i 's/Response.json({/Response.json({ news: "from the preview",/' hello/src/index.js
quietly skerry deploy --config hello/wrangler.toml --env preview --message "Say the news"
until_says 2 preview.hello.workers.localhost news
get 2 preview.hello.workers.localhost /
get 2 hello.workers.localhost /
show skerry diff preview production --service hello
at 2 skerry promote preview production --service hello --yes --message "Ship the news"
until_says 3 hello.workers.localhost news
get 3 hello.workers.localhost /
at 3 skerry rollback --service hello --yes --message "Too early"
get 3 hello.workers.localhost /
show skerry deployments list --service hello
show skerry audit --service hello --limit 12

bold "A node dies: ${name[2]} is killed (SIGKILL); the others answer, and take a deploy"
kill -KILL "${pid[2]}"
get 1 hello.workers.localhost /
get_tls 2 gateway.workers.localhost /
sed -i 's/Response.json({/Response.json({ deployed: "while a node was down",/' hello/src/index.js
or_unknown at 2 skerry deploy --wait=2 --config hello/wrangler.toml --message "While a node is down"
until_says 1 hello.workers.localhost "while a node was down"
get 1 hello.workers.localhost /

bold "It is started again, and serves what it missed"
# A node would take SKERRY_API for the address of its own API.
printf '\033[2m$ env -u SKERRY_API skerry-node --config %s\033[0m\n' "${config[2]}"
setsid env -u SKERRY_API skerry-node --config "${config[2]}" >> "${log[2]}" 2>&1 &
again=$!
until_says 3 hello.workers.localhost "while a node was down"
get 3 hello.workers.localhost /
show skerry cluster status

bold "What runs"
show skerry service list
cat <<TEXT

Try it:
  . $cluster/env; export PATH=$bin:\$PATH
  curl --connect-to ::${http[0]} $(url 1 hello.workers.localhost)
  curl --connect-to ::${https[1]} --cacert \$SKERRY_CA https://hello.workers.localhost:${https[1]##*:}/
  skerry cluster status; skerry status; skerry tail --service hello
TEXT
[ "${DEMO_EXIT:-}" = 1 ] && exit 0
bold "The cluster runs until Ctrl-C"
trap 'exit 0' INT TERM
wait "$up"
