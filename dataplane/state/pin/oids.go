package pin

// ByOID is what calling a function by its OID leaves behind for the session alone, as far as that says it. The OIDs are those of
// pg_proc.dat, and the same in every release.
func ByOID(oid uint32) Set {
	switch oid {
	case 2880, 2881, 2882, 2883, 2886, 2887, 2888, 2889: // pg_advisory_lock, pg_try_advisory_lock, and those that share
		return seen(Lock)
	case 1599, 6006: // setseed, pg_replication_origin_session_setup
		return seen(Lasting)
	}
	return 0
}

// HarmlessOID says whether a function leaves nothing behind its transaction: those of large objects, which drivers call so.
func HarmlessOID(oid uint32) bool {
	switch oid {
	case 715, 952, 953, 954, 955, 956, 957, 958, 964, 1004, 3170, 3171, 3172: // lo_create to lo_truncate64
		return true
	}
	return false
}
