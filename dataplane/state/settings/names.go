package settings

import (
	"slices"
	"strings"
)

const (
	role                 = "role"
	sessionAuthorization = "session_authorization"
)

// IsWho says whether the parameter decides who one is.
func IsWho(name string) bool { return name == role || name == sessionAuthorization }

// NotWho says whether the parameter has nothing to do with who one is: what RESET ALL resets.
func NotWho(name string) bool { return !IsWho(name) }

// readByPlanner says whether parse analysis or planning reads the parameter: PostgreSQL turns
// literals into constants and names into objects at Parse.
func readByPlanner(name string) bool {
	return slices.Contains(plannerNames[:], name)
}

var plannerNames = [...]string{
	"client_encoding", "search_path", role, sessionAuthorization, "row_security", "datestyle", "intervalstyle",
	"timezone", "timezone_abbreviations", "lc_monetary", "standard_conforming_strings", "backslash_quote",
	"transform_null_equals", "array_nulls", "xmloption", "bytea_output", "extra_float_digits",
}

// Settable says whether a session can set the parameter at all: some are reported that it cannot.
func Settable(name string) bool {
	switch name {
	case "in_hot_standby", "integer_datetimes", "is_superuser", "server_encoding", "server_version":
		return false
	}
	return true
}

// Plain says whether setting the parameter can fail for no other reason than its value: neither an
// object of the catalogue nor a privilege decides it. A value of such a parameter that a server has
// accepted once is accepted again. Parameters that are not known count as not plain.
func Plain(name string) bool {
	if i := strings.IndexByte(name, '.'); i > 0 {
		return !slices.Contains(libraries[:], name[:i]) // a custom parameter that some session could set
	}
	switch name {
	case "application_name", "array_nulls", "backend_flush_after", "backslash_quote", "bytea_output",
		"client_connection_check_interval", "client_encoding", "client_min_messages", "commit_siblings", "constraint_exclusion",
		"cpu_index_tuple_cost", "cpu_operator_cost", "cpu_tuple_cost", "cursor_tuple_fraction", "datestyle",
		"default_statistics_target", "default_transaction_deferrable", "default_transaction_isolation",
		"default_transaction_read_only", "effective_cache_size", "effective_io_concurrency", "enable_async_append",
		"enable_bitmapscan", "enable_gathermerge", "enable_hashagg", "enable_hashjoin", "enable_incremental_sort",
		"enable_indexonlyscan", "enable_indexscan", "enable_material", "enable_memoize", "enable_mergejoin",
		"enable_nestloop", "enable_parallel_append", "enable_parallel_hash", "enable_partition_pruning",
		"enable_partitionwise_aggregate", "enable_partitionwise_join", "enable_seqscan", "enable_sort",
		"enable_tidscan", "escape_string_warning", "exit_on_error", "extra_float_digits", "force_parallel_mode",
		"from_collapse_limit", "geqo", "geqo_effort", "geqo_generations", "geqo_pool_size", "geqo_seed",
		"geqo_selection_bias", "geqo_threshold", "gin_fuzzy_search_limit", "gin_pending_list_limit", "hash_mem_multiplier",
		"idle_in_transaction_session_timeout", "idle_session_timeout", "intervalstyle", "jit", "jit_above_cost",
		"jit_inline_above_cost", "jit_optimize_above_cost", "join_collapse_limit", "lc_monetary", "lc_numeric", "lc_time",
		"lock_timeout", "logical_decoding_work_mem", "maintenance_io_concurrency", "maintenance_work_mem",
		"max_parallel_maintenance_workers", "max_parallel_workers", "max_parallel_workers_per_gather",
		"min_parallel_index_scan_size", "min_parallel_table_scan_size", "parallel_leader_participation",
		"parallel_setup_cost", "parallel_tuple_cost", "password_encryption", "plan_cache_mode", "quote_all_identifiers",
		"random_page_cost", "row_security", "search_path", "seq_page_cost", "standard_conforming_strings",
		"statement_timeout", "synchronize_seqscans", "synchronous_commit", "tcp_keepalives_count", "tcp_keepalives_idle",
		"tcp_keepalives_interval", "tcp_user_timeout", "timezone", "timezone_abbreviations",
		"trace_notify", "trace_sort", "transaction_timeout", "transform_null_equals", "vacuum_cost_delay",
		"vacuum_cost_limit", "vacuum_cost_page_dirty", "vacuum_cost_page_hit", "vacuum_cost_page_miss", "wal_skip_threshold",
		"work_mem", "xmlbinary", "xmloption":
		return true
	}
	return false
}

// libraries are the prefixes that the libraries which come with PostgreSQL keep for parameters of their own once they are loaded, as some
// are with the first call of a function (MarkGUCPrefixReserved): what could be set before is refused then.
var libraries = [...]string{
	"auth_delay", "auto_explain", "basebackup_to_shell", "basic_archive", "isn", "pg_prewarm", "pg_stat_statements", "pg_trgm", "plperl",
	"plpgsql", "pltcl", "postgres_fdw", "sepgsql",
}

// AllPlain says whether nothing but plain parameters is different between the two sets.
func AllPlain(from, to Set) bool {
	plain := true
	Differences(from, to, func(n, _ string, _ bool) { plain = plain && Plain(n) })
	return plain
}
