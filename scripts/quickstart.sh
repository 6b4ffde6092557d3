#!/usr/bin/env bash
# Shows HeliosProxy at work: starts a PostgreSQL of its own in a temporary directory and the proxy in front of it, runs a
# short workload, tells how to connect, and stays up until Ctrl-C. Nothing is left behind.
#
#   scripts/quickstart.sh          stay up until Ctrl-C
#   scripts/quickstart.sh --once   end after the workload; exit status 0 only if all went well
#
# It needs bin/heliosproxy (make build), and PostgreSQL 14 or later, which it installs with apt when there is none.
set -euo pipefail

root=$(cd "$(dirname "$0")/.." && pwd)
proxy=$root/bin/heliosproxy
oldest=14
once=
dir=
proxy_pid=
server_pid=

say() { printf '%s\n' "$*"; }
die() { printf 'quickstart: %s\n' "$*" >&2; exit 1; }

case "${1:-}" in
'') ;;
--once) once=yes ;;
*) die "usage: scripts/quickstart.sh [--once]" ;;
esac
[ -x "$proxy" ] || die "there is no bin/heliosproxy: run make build"

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
		[ -x "$found/initdb" ] && [ -x "$found/pgbench" ] || continue
		version=$("$found/postgres" --version | sed -E 's/[^0-9]*([0-9]+).*/\1/')
		if [ "$version" -ge $oldest ]; then
			say "$found"
			return
		fi
	done
	return 1
}

# free_port prints a port that nobody listens on, below the range of outgoing connections.
free_port() {
	local port
	while :; do
		port=$((20000 + RANDOM % 12768))
		[ "$port" != "${1:-}" ] || continue
		if ! (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; then
			say "$port"
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
	[ -z "$proxy_pid" ] || stop "$proxy_pid" TERM KILL
	[ -z "$server_pid" ] || stop "$server_pid" INT QUIT
	wait 2>/dev/null || true
	if [ -n "$dir" ]; then
		if [ "$status" -ne 0 ] && [ -z "$interrupted" ]; then
			tail -n 20 "$dir"/postgresql.log "$dir"/proxy.log >&2 2>/dev/null || true
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

dir=$(mktemp -d "${TMPDIR:-/tmp}/heliosproxy-quickstart.XXXXXX")
[ "$(id -u)" -ne 0 ] || chown postgres: "$dir"
port=$(free_port)
listen=$(free_port "$port")
admin=$(free_port "$listen")

say "Starting $("$bin/postgres" --version) on port $port"
"${as_server[@]}" "$bin/initdb" --no-sync --username=postgres --auth=trust --encoding=UTF8 --locale=C.UTF-8 --pgdata="$dir/data" >"$dir/initdb.log"
# A child of ours in a process group of its own: Ctrl-C is for this script, which stops things in order.
set -m
"${as_server[@]}" "$bin/postgres" -D "$dir/data" -c listen_addresses=127.0.0.1 -c port="$port" -c unix_socket_directories="$dir" \
	-c fsync=off >"$dir/postgresql.log" 2>&1 &
server_pid=$!
set +m
await PostgreSQL "$server_pid" "$bin/pg_isready" -q -U postgres -h 127.0.0.1 -p "$port"

cat >"$dir/proxy.toml" <<TOML
[proxy]
listen_address = "127.0.0.1:$listen"
admin_address = "127.0.0.1:$admin"

[pool]
mode = "transaction"
max_connections = 20

[[nodes]]
host = "127.0.0.1"
port = $port
role = "primary"

[auth]
mode = "trust"
TOML

say "Starting $("$proxy" version) on port $listen: transaction mode, at most 20 server connections"
set -m
"${as_us[@]}" "$proxy" --config "$dir/proxy.toml" >"$dir/proxy.log" 2>&1 &
proxy_pid=$!
set +m
await "The proxy" "$proxy_pid" "$bin/pg_isready" -q -U postgres -h 127.0.0.1 -p "$listen"

export PGHOST=127.0.0.1 PGPORT=$listen PGUSER=postgres PGDATABASE=postgres PGSSLMODE=disable
say "Workload through the proxy: 100 clients for 5 seconds"
"$bin/pgbench" -i -q -s 1 >"$dir/pgbench-init.log" 2>&1
"$bin/pgbench" -n -c 100 -j 2 -T 5 -P 1 -M prepared 2>&1 | grep -E '^(progress|tps|number of failed|number of transactions)'
used=$("$bin/psql" -h 127.0.0.1 -p "$port" -XAtc "select count(*) from pg_stat_activity where backend_type = 'client backend' and pid <> pg_backend_pid()")
say "100 clients were served by $used server connections"
[ "$used" -le 20 ] || die "more server connections than the 20 allowed"

ready=yes
if [ -n "$once" ]; then
	say "All went well"
	exit 0
fi
say ""
say "Connect:     psql 'host=127.0.0.1 port=$listen user=postgres dbname=postgres'"
say "Metrics:     curl http://127.0.0.1:$admin/metrics"
say "Stop:        Ctrl-C"
# Either ends only if something is wrong.
wait -n "$proxy_pid" "$server_pid" || true
die "the proxy or PostgreSQL ended"
