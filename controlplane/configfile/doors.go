package configfile

func doorKeys() []key {
	return []key{
		{
			name: "proxy.proxy_protocol", kind: texts,
			doc: "Balancers that say whose connections they pass on, in a header of [PROXY protocol](proxyprotocol.md), at every listener: addresses, networks, and `unix` for all who come by the unix socket, as `[\"10.0.0.0/8\", \"unix\"]`. A connection from there without such a header is refused, and one from elsewhere must have none.",
		},
		{
			name: "proxy.so_reuseport", kind: boolean, def: false,
			doc: "Other processes may listen at `listen_address` and `more_addresses`, if they say so too (`SO_REUSEPORT`): the kernel gives each of them some of the connections. Each needs an `admin_address`, a `--state-dir` and a `unix_socket_dir` of its own. `PAUSE` and limits are one process's. It counts when a listener is opened, so a change of this key alone needs a restart.",
		},
	}
}
