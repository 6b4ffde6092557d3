#!/usr/bin/env bash
# Shows HeliosProxy at work: starts a PostgreSQL primary with a synchronous and an asynchronous standby, a control plane and two
# proxies, all in a temporary directory, applies a configuration, runs a workload through both proxies, changes a pool under it,
# tells how to connect, and stays up until Ctrl-C. Nothing is left behind.
#
#   scripts/quickstart.sh          stay up until Ctrl-C
#   scripts/quickstart.sh --once   end after the workload; exit status 0 only if all went well
#
# It needs bin/heliosproxy and bin/helioctl (make build), and PostgreSQL 14 or later, which it installs with apt when there is none.
set -euo pipefail

root=$(cd "$(dirname "$0")/.." && pwd)
proxy=$root/bin/heliosproxy
helioctl=$root/bin/helioctl
oldest=14
once=
dir=
# What runs, the last started first: PID:SIGNAL:SECOND-SIGNAL. It is stopped in this order.
running=()

say() { printf '%s\n' "$*"; }
die() { printf 'quickstart: %s\n' "$*" >&2; exit 1; }

case "${1:-}" in
'') ;;
--once) once=yes ;;
*) die "usage: scripts/quickstart.sh [--once]" ;;
esac
[ -x "$proxy" ] && [ -x "$helioctl" ] || die "there is no bin/heliosproxy or bin/helioctl: run make build"

# PostgreSQL refuses to run as root: then its programs run as the user postgres. What we start does not outlive us, even when
# we are killed.
as_us=(setpriv --pdeathsig INT)
as_server=("${as_us[@]}")
[ "$(id -u)" -ne 0 ] || as_server+=(--reuid postgres --regid postgres --clear-groups)

as_root() {
	if [ "$(id -u)" -eq 0 ]; then
		"$@"
	elif command -v sudo >/dev/null; then
		sudo "$@"
	else
		die "PostgreSQL $oldest or later is needed, and there is no sudo to install it with"
	fi
}

# find_postgresql prints the directory of a server's programs that is new enough, the newest of those in the usual place.
find_postgresql() {
	local found candidates version
	found=$(command -v postgres || true)
	candidates=$({
		printf '%s\n' /usr/lib/postgresql/*/bin | sort -t/ -k5 -rn
		[ -z "$found" ] || dirname "$(readlink -f "$found")"
	})
	for found in $candidates; do
		[ -x "$found/initdb" ] && [ -x "$found/pgbench" ] && [ -x "$found/pg_basebackup" ] || continue
		version=$("$found/postgres" --version | sed -E 's/[^0-9]*([0-9]+).*/\1/')
		if [ "$version" -ge $oldest ]; then
			say "$found"
			return
		fi
	done
	return 1
}

# free_port sets port to one that nobody listens on and that was not given before, below the range of outgoing connections.
given=' '
free_port() {
	while :; do
		port=$((20000 + RANDOM % 12768))
		[[ $given != *" $port "* ]] || continue
		if ! (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; then
			given+="$port "
			return
		fi
	done
}

# stop ends a process that we started and waits for it; the second signal is for one that does not hear the first.
stop() {
	local pid=$1 first=$2 second=$3 i
	kill "-$first" "$pid" 2>/dev/null || return 0
	for i in $(seq 100); do
		kill -0 "$pid" 2>/dev/null || return 0
		sleep 0.1
	done
	kill "-$second" "$pid" 2>/dev/null || true
}

cleanup() {
	local status=$?
	trap '' INT TERM HUP
	trap - EXIT
	local entry pid first second
	for entry in ${running[@]+"${running[@]}"}; do
		IFS=: read -r pid first second <<<"$entry"
		stop "$pid" "$first" "$second"
	done
	wait 2>/dev/null || true
	if [ -n "$dir" ]; then
		if [ "$status" -ne 0 ] && [ -z "$interrupted" ]; then
			tail -n 20 "$dir"/*.log >&2 2>/dev/null || true
		fi
		rm -rf "$dir"
	fi
	[ -z "$interrupted" ] || [ -n "$once" ] || [ -z "$ready" ] || status=0 # Ctrl-C is how it is meant to end
	exit "$status"
}
interrupted=
ready=
trap cleanup EXIT
trap 'interrupted=yes; exit 130' INT TERM HUP

# await WHAT PID COMMAND... waits until COMMAND succeeds, at most 30 seconds, while process PID lives.
await() {
	local what=$1 pid=$2 i
	shift 2
	for i in $(seq 300); do
		if "$@" >/dev/null 2>&1; then return; fi
		kill -0 "$pid" 2>/dev/null || die "$what ended at start"
		sleep 0.1
	done
	die "$what did not start within 30 seconds"
}

clusters() { find /etc/postgresql -mindepth 2 -maxdepth 2 2>/dev/null | sort || true; }

# install_postgresql installs Debian's package, and drops the cluster that the package makes and starts of itself.
install_postgresql() {
	local before made
	before=$(clusters)
	as_root apt-get update -q
	as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends postgresql
	comm -13 <(printf '%s' "$before") <(clusters) | while IFS=/ read -r _ _ _ version made; do
		as_root pg_dropcluster --stop "$version" "$made"
	done
}

if ! bin=$(find_postgresql); then
	say "Installing PostgreSQL"
	install_postgresql
	bin=$(find_postgresql) || die "apt installed no PostgreSQL $oldest or later"
fi

# start LOG SIGNAL SECOND-SIGNAL COMMAND... starts a process of ours, which is stopped with the signals, and sets started to its
# id. It has a process group of its own: Ctrl-C is for this script, which stops things in order.
start() {
	local log=$1 first=$2 second=$3
	shift 3
	set -m
	"$@" >>"$dir/$log.log" 2>&1 &
	started=$!
	set +m
	running=("$started:$first:$second" ${running[@]+"${running[@]}"})
}

dir=$(mktemp -d "${TMPDIR:-/tmp}/heliosproxy-quickstart.XXXXXX")
[ "$(id -u)" -ne 0 ] || chown postgres: "$dir"

# start_server NAME PORT starts a PostgreSQL server on a data directory that is there.
start_server() {
	start "$1" INT QUIT "${as_server[@]}" "$bin/postgres" -D "$dir/$1" -c listen_addresses=127.0.0.1 -c port="$2" \
		-c unix_socket_directories="$dir" -c fsync=off -c cluster_name="$1" -c max_connections=100
	await "PostgreSQL $1" "$started" "$bin/pg_isready" -q -U postgres -h 127.0.0.1 -p "$2"
}
sql() { "$bin/psql" -XAtq -v ON_ERROR_STOP=1 -U postgres -d postgres -h 127.0.0.1 -p "$1" -c "$2"; }
export PGSSLMODE=disable PGGSSENCMODE=disable

free_port; primary=$port
free_port; sync=$port
free_port; async=$port
say "Starting $("$bin/postgres" --version): a primary on port $primary,"
"${as_server[@]}" "$bin/initdb" --no-sync --username=postgres --auth=trust --encoding=UTF8 --locale=C.UTF-8 --pgdata="$dir/primary" >"$dir/initdb.log"
start_server primary "$primary"
for standby in sync:$sync async:$async; do
	name=${standby%:*}
	"${as_server[@]}" "$bin/pg_basebackup" --no-sync --checkpoint=fast --write-recovery-conf --create-slot --slot="$name" \
		--dbname="host=127.0.0.1 port=$primary user=postgres application_name=$name" --pgdata="$dir/$name" >"$dir/basebackup.log" 2>&1
	start_server "$name" "${standby#*:}"
done
sql "$primary" "alter system set synchronous_standby_names = 'sync'"
sql "$primary" "select pg_reload_conf()" >/dev/null
streams() { [ "$(sql "$primary" "select string_agg(sync_state, ',' order by sync_state) from pg_stat_replication where state = 'streaming'")" = async,sync ]; }
await "The standbys" "$started" streams
say "a synchronous standby on port $sync and an asynchronous one on port $async"

free_port; admin=$port
free_port; stream=$port
export HELIOCTL_CONFIG=/dev/null HELIOCTL_SERVER=127.0.0.1:$admin HELIOCTL_TOKEN_FILE=$dir/controlplane/admin.token
say "Starting the control plane of $("$proxy" version): helioctl on port $admin, proxies on port $stream"
start controlplane TERM KILL "${as_us[@]}" "$proxy" controlplane --data-dir "$dir/controlplane" --admin-listen "127.0.0.1:$admin" --stream-listen "127.0.0.1:$stream"
control_pid=$started
await "The control plane" "$control_pid" "$helioctl" get all

free_port; one=$port
free_port; two=$port
free_port; health_one=$port
free_port; health_two=$port
start_proxy() {
	start "$1" TERM KILL "${as_us[@]}" "$proxy" dataplane --node-id "$1" --control-plane "127.0.0.1:$stream" --token-file "$dir/controlplane/node.token" \
		--listen "main=127.0.0.1:$2" --state-dir "$dir/$1" --admin-address "127.0.0.1:$3"
}
say "Starting two proxies: proxy-1 on port $one, proxy-2 on port $two"
start_proxy proxy-1 "$one" "$health_one"; proxy_one=$started
start_proxy proxy-2 "$two" "$health_two"; proxy_two=$started

cat >"$dir/resources.yaml" <<YAML
apiVersion: helios/v1
kind: Cluster
metadata: {name: main}
---
apiVersion: helios/v1
kind: Node
metadata: {name: primary}
spec: {cluster: main, host: 127.0.0.1, port: $primary, role: primary}
---
apiVersion: helios/v1
kind: Node
metadata: {name: sync}
spec: {cluster: main, host: 127.0.0.1, port: $sync, role: standby, sync: true}
---
apiVersion: helios/v1
kind: Node
metadata: {name: async}
spec: {cluster: main, host: 127.0.0.1, port: $async, role: standby}
---
apiVersion: helios/v1
kind: PoolProfile
metadata: {name: web}
spec: {mode: transaction, maxConnections: 20}
---
apiVersion: helios/v1
kind: Database
metadata: {name: "*"}
spec: {cluster: main, poolProfile: web}
---
apiVersion: helios/v1
kind: Listener
metadata: {name: main}
spec: {address: "127.0.0.1:6432", auth: trust}
YAML
say "Applying a configuration: helioctl apply -f resources.yaml"
"$helioctl" apply -f "$dir/resources.yaml" -m "quick start" >"$dir/apply.log" || die "helioctl apply has failed"
grep -E 'created$|^revision' "$dir/apply.log" | sed 's/^/  /'
for at in "proxy-1 $proxy_one $one" "proxy-2 $proxy_two $two"; do
	read -r name pid listen <<<"$at"
	await "$name" "$pid" "$bin/pg_isready" -q -U postgres -h 127.0.0.1 -p "$listen"
done

say "Workload through both proxies: 50 clients each for 6 seconds; after 3 the pool shrinks from 20 to 10"
export PGHOST=127.0.0.1 PGUSER=postgres PGDATABASE=postgres
PGPORT=$one "$bin/pgbench" -i -q -s 5 >"$dir/pgbench-init.log" 2>&1 || die "pgbench cannot initialize"
load() { PGPORT=$2 "$bin/pgbench" -n -c 50 -j 1 -T 6 -P 1 -M prepared -b simple-update >"$dir/$1-load.log" 2>&1; }
load proxy-1 "$one" & load_one=$!
load proxy-2 "$two" & load_two=$!
used() { sql "$primary" "select count(*) from pg_stat_activity where backend_type = 'client backend' and pid <> pg_backend_pid()"; }
# reached SECOND waits until both workloads have reported on a second; it fails when one ends without.
reached() {
	local log pid
	for log in "proxy-1 $load_one" "proxy-2 $load_two"; do
		read -r log pid <<<"$log"
		until [ "$(grep -c '^progress' "$dir/$log-load.log")" -ge "$1" ]; do
			kill -0 "$pid" 2>/dev/null || return 1
			sleep 0.1
		done
	done
}
for second in 1 2 3 4 5 6; do
	reached "$second" || break
	tps=$(awk -v n="$second" '/^progress/ && ++seen[FILENAME] == n { tps += $4 } END { printf "%d", tps }' "$dir"/proxy-?-load.log)
	say "  second $second: $tps transactions a second, $(used) server connections"
	if [ "$second" -eq 3 ]; then
		sed 's/maxConnections: 20/maxConnections: 10/' "$dir/resources.yaml" | "$helioctl" apply -f - -m "smaller pools" >"$dir/apply.log" || die "helioctl apply has failed"
		say "  helioctl apply: PoolProfile web, maxConnections 20 -> 10"
	fi
done
wait "$load_one" && wait "$load_two" || die "the workload has failed"
grep -hE '^(tps|number of failed)' "$dir"/proxy-?-load.log | sed 's/^/  /'
if grep -q '^number of failed transactions: [^0]' "$dir"/proxy-?-load.log; then die "transactions have failed"; fi
now=$(used)
say "100 clients were served by $now server connections"
[ "$now" -le 20 ] || die "more server connections than the 2 x 10 allowed"
say ""
"$helioctl" fleet status
[ "$("$helioctl" fleet status -o json | grep -c '"state": "synced"')" -eq 2 ] || die "a proxy does not run what it should"

ready=yes
if [ -n "$once" ]; then
	say ""
	say "All went well"
	exit 0
fi
cat <<TEXT

Connect:   psql 'host=127.0.0.1 port=$one user=postgres dbname=postgres'     (proxy-2: port $two)
Helioctl:  export HELIOCTL_SERVER=$HELIOCTL_SERVER HELIOCTL_TOKEN_FILE=$HELIOCTL_TOKEN_FILE
           $helioctl fleet status --watch
           $helioctl edit poolprofile web
           $helioctl node config proxy-1
Metrics:   curl http://127.0.0.1:$health_one/metrics
Stop:      Ctrl-C
TEXT
# Any of them ends only if something is wrong.
wait -n $(printf '%s\n' "${running[@]}" | cut -d: -f1) || true
die "something has ended that should not"
