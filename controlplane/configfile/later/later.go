// Package later is the keys of the two vocabularies whose feature is not in this release, and what happens instead. A feature that comes removes its row.
package later

// Row is keys of one table.
type Row struct {
	Table   string // empty: the top level
	Keys    string // with spaces between; a "*" at the end of one stands for the rest of a name
	Instead string // what happens instead, a clause
}

// Door is a key, table or list that would keep somebody out or something hidden. What is behind it must not
// stand open because a feature is late: unless it is switched off, it is an error.
type Door struct {
	Name    string
	Off     string // the key that switches it off with false
	Instead string
}

// Doors is the table of those.
func Doors() []Door {
	return []Door{
		{"multi_tenancy", "multi_tenancy.enabled", "tenants would see each other's rows"},
		{"rate_limit", "rate_limit.enabled", "nobody would be slowed down"},
		{"plugins.trust_root", "plugins.enabled", "no plugin's signature would be checked"},
	}
}

// Keys is the table of all others.
func Keys() []Row {
	return []Row{
		{
			"", "admin_allow_insecure",
			"without admin_token an address that is not loopback answers only /livez, /readyz and /metrics",
		},
		{
			"", "tr_mode tr_enabled",
			"a session whose server is lost ends with an error",
		},
		{
			"", "write_timeout_secs",
			"a statement is not held while there is no primary",
		},
		{
			"", "optimize_unnamed_parse",
			"every unnamed Parse is sent",
		},
		{
			"pool", "test_on_acquire",
			"a server connection is watched while it is idle",
		},
		{
			"pool_mode", "max_pool_size",
			"pool.max_connections is the bound",
		},
		{
			"pool_mode", "min_idle",
			"pool.min_connections is the number",
		},
		{
			"pool_mode", "idle_timeout_secs",
			"pool.idle_timeout_secs is the time",
		},
		{
			"pool_mode", "max_lifetime_secs",
			"pool.max_lifetime_secs is the time",
		},
		{
			"pool_mode", "acquire_timeout_secs",
			"pool.acquire_timeout_secs is the time",
		},
		{
			"pool_mode", "reset_query",
			"DISCARD ALL resets a server connection in session mode",
		},
		{
			"pool_mode", "prepared_statement_mode",
			"named statements follow their session",
		},
		{
			"pool_mode", "skip_clean_reset",
			"a server connection is reset after each session",
		},
		{
			"load_balancer", "strategy read_write_split latency_threshold_ms",
			"every statement goes to the primary",
		},
		{
			"health", "check_interval_secs check_timeout_secs failure_threshold success_threshold check_query",
			"nodes are not asked in the background",
		},
		{
			"nodes", "http_port",
			"nothing is asked over HTTP",
		},
		{
			"cache", "enabled ttl_secs max_result_bytes",
			"nothing is cached",
		},
		{
			"lag_routing", "enabled ryw_window_ms max_lag_bytes",
			"every statement goes to the primary",
		},
		{
			"routing_hints", "enabled",
			"hints are comments",
		},
		{
			"routing_hints", "strip_hints",
			"hints are sent to the server as comments",
		},
		{
			"rate_limit", "enabled default_qps default_burst max_concurrent key_by",
			"nobody is slowed down",
		},
		{
			"circuit_breaker", "enabled failure_threshold open_secs success_threshold",
			"a server that fails is tried again",
		},
		{
			"analytics", "enabled slow_query_ms max_fingerprints",
			"statements are counted, not told apart",
		},
		{
			"anomaly", "enabled rate_window_secs spike_z_threshold auth_window_secs auth_critical_count auth_warning_count event_buffer_size emit_novel_queries max_seen_fingerprints",
			"nothing is watched for anomalies",
		},
		{
			"query_rewrite", "enabled rules",
			"statements are sent as they come",
		},
		{
			"multi_tenancy", "enabled identify_by tenant_column tenant_tables tenants",
			"tenants are not told apart",
		},
		{
			"schema_routing", "enabled analytics_node",
			"every statement goes to the primary",
		},
		{
			"plugins", "enabled plugin_dir hot_reload memory_limit_mb timeout_ms max_plugins fuel_metering fuel_limit trust_root kv_max_value_bytes kv_max_keys_per_plugin kv_max_plugins kv_max_total_bytes",
			"no plugin is loaded",
		},
		{
			"mcp", "enabled listen_address backend_* read_only contract auth_token",
			"the gateway is not opened",
		},
		{
			"", "agent_contracts",
			"the gateway that they bind is not opened",
		},
		{
			"http_gateway", "enabled listen_address backend_* auth_token",
			"the gateway is not opened",
		},
		{
			"graphql_gateway", "enabled listen_address backend_* auth_token tables",
			"the gateway is not opened",
		},
		{
			"mirror", "enabled sample_rate writes_only queue_size backend_* source_*",
			"nothing is mirrored",
		},
		{
			"edge", "enabled role home_url auth_token allow_insecure_home_url default_ttl_secs max_entries max_edges liveness_window_secs subscribe_gc_secs region edge_id",
			"the proxy is neither edge nor home of one",
		},
		{
			"branch", "enabled backend_* admin_user admin_password admin_database base_database",
			"no branches are made",
		},
		{
			"limits", "max_cancel_keys",
			"there is one cancel key a session",
		},
		{
			"limits", "backend_read_timeout_secs",
			"a dead server is found by TCP keepalive and limits.backend_write_timeout_secs",
		},
		{
			"limits", "reprepare_timeout_secs",
			"statements are prepared together with their first use",
		},
		{
			"limits", "max_pending_bytes",
			"buffers have a fixed size",
		},
		{
			"limits", "max_total_idle_backend_conns",
			"pool.max_connections bounds each pool",
		},
		{
			"limits", "pool_reap_interval_secs",
			"each server connection has its own idle time",
		},
	}
}
