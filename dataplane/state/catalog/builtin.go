package catalog

import (
	_ "embed" // the names
	"slices"
	"strings"
)

// known are the names of all functions that come with PostgreSQL 12 to 18, sorted: those that were read for the list below. What
// comes with a later one is suspect until it was read too.
//
//	SELECT DISTINCT proname COLLATE "C" FROM pg_proc WHERE oid < 16384 ORDER BY 1
//
//go:embed known.txt
var known string

// listed are the functions that come with PostgreSQL 12 to 18 and are not harmless. All others leave nothing on a server
// connection that its transaction does not take with it, and call nothing but support functions of types, operators, casts and
// operator classes, which are looked at for themselves.
//
// Not listed, though it might seem: locks and origins of the transaction (pg_advisory_xact_lock), snapshots
// (pg_export_snapshot), large objects, whose descriptors end with the transaction, pg_notify, what changes the server and not
// the session (pg_reload_conf, pg_switch_wal, pg_promote, pg_stat_reset), what takes arguments of type internal and so can't be
// called, and random(), whose sequence was not promised to anyone; setseed is what promises one.
var listed = map[string]Reach{
	"set_config":                  Suspect,
	"setseed":                     Suspect,
	"pg_advisory_lock":            Suspect,
	"pg_advisory_lock_shared":     Suspect,
	"pg_try_advisory_lock":        Suspect,
	"pg_try_advisory_lock_shared": Suspect,

	"nextval": Sequences,
	"setval":  Sequences, // currval answers it
	"currval": Sessions,
	"lastval": Sessions,

	"pg_listening_channels": Sessions,
	"pg_prepared_statement": Sessions,

	// The session's replication origin.
	"pg_replication_origin_session_setup":    Suspect,
	"pg_replication_origin_session_reset":    Suspect,
	"pg_replication_origin_session_progress": Suspect,
	"pg_replication_origin_session_is_setup": Suspect,
	"pg_replication_origin_xact_setup":       Suspect, // stays until it is reset
	"pg_replication_origin_xact_reset":       Suspect,

	// A backup belongs to the session that began it.
	"pg_start_backup": Suspect,
	"pg_stop_backup":  Suspect,
	"pg_backup_start": Suspect,
	"pg_backup_stop":  Suspect,

	// Slots may be temporary, and decoding loads a plugin.
	"pg_create_physical_replication_slot": Suspect,
	"pg_create_logical_replication_slot":  Suspect,
	"pg_copy_physical_replication_slot":   Suspect,
	"pg_copy_logical_replication_slot":    Suspect,
	"pg_drop_replication_slot":            Suspect,
	"pg_replication_slot_advance":         Suspect,
	"pg_sync_replication_slots":           Suspect,
	"pg_logical_slot_get_changes":         Suspect,
	"pg_logical_slot_get_binary_changes":  Suspect,
	"pg_logical_slot_peek_changes":        Suspect,
	"pg_logical_slot_peek_binary_changes": Suspect,

	// These run SQL from a text, or read a relation that they are given by name.
	"query_to_xml":                  Suspect,
	"query_to_xmlschema":            Suspect,
	"query_to_xml_and_xmlschema":    Suspect,
	"cursor_to_xml":                 Suspect,
	"cursor_to_xmlschema":           Suspect,
	"table_to_xml":                  Suspect,
	"table_to_xmlschema":            Suspect,
	"table_to_xml_and_xmlschema":    Suspect,
	"schema_to_xml":                 Suspect,
	"schema_to_xmlschema":           Suspect,
	"schema_to_xml_and_xmlschema":   Suspect,
	"database_to_xml":               Suspect,
	"database_to_xmlschema":         Suspect,
	"database_to_xml_and_xmlschema": Suspect,
	"ts_stat":                       Suspect,
	"ts_rewrite":                    Suspect,
	"brin_summarize_new_values":     Suspect,
	"brin_summarize_range":          Suspect,
	"pg_stop_making_pinned_objects": Suspect,
	"fmgr_c_validator":              Suspect, // loads the library
	"fmgr_sql_validator":            Suspect,
	"plpgsql_call_handler":          Suspect,
	"plpgsql_inline_handler":        Suspect,
	"plpgsql_validator":             Suspect,
}

// Listed returns the names of the built-in functions that a stored expression is searched for.
func Listed() []string {
	names := make([]string, 0, len(listed))
	for n := range listed {
		names = append(names, n)
	}
	slices.Sort(names)
	return names
}

// builtin is what a function that came with the server reaches, by its name; names are those known.
func builtin(name string, names []string) Reach {
	if _, ok := slices.BinarySearch(names, name); !ok || strings.HasPrefix(name, "binary_upgrade_") {
		return Suspect
	}
	return listed[name]
}

// harmlessExtensions are extensions whose functions compute and no more, each with the functions of it that don't. All come
// with PostgreSQL, but for vector (pgvector). Triggers among them look at the row alone; tcn notifies.
var harmlessExtensions = map[string][]string{
	"bloom":              nil,
	"btree_gin":          nil,
	"btree_gist":         nil,
	"citext":             nil,
	"cube":               nil,
	"dict_int":           nil,
	"dict_xsyn":          nil,
	"earthdistance":      nil,
	"fuzzystrmatch":      nil,
	"hstore":             nil,
	"insert_username":    nil,
	"intarray":           nil,
	"isn":                {"isn_weak"}, // a switch of the session
	"lo":                 nil,
	"ltree":              nil,
	"moddatetime":        nil,
	"pg_stat_statements": nil,
	"pg_trgm":            {"set_limit"}, // SET pg_trgm.similarity_threshold
	"pgcrypto":           nil,
	"seg":                nil,
	"tcn":                nil,
	"tsm_system_rows":    nil,
	"tsm_system_time":    nil,
	"unaccent":           nil,
	"uuid-ossp":          nil,
	"vector":             nil,
}

// aliases are functions by the names that the grammar of PostgreSQL 17 spells them, and how servers of before did.
var aliases = map[string]string{"extract": "date_part", "similar_to_escape": "similar_escape"}
