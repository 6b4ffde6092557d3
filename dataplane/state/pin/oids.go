package pin

import "github.com/heliosproxy/heliosproxy/pkg/planted"

// Called is what calling a function by its OID leaves behind for the session alone, as far as that says it, and whether it is known to leave
// nothing at all: functions of large objects, which drivers call so. The OIDs are those of pg_proc.dat, the same in every release.
func Called(oid uint32) (leaves Set, harmless bool) {
	switch oid {
	case 2880, 2881, 2882, 2883, 2886, 2887, 2888, 2889: // pg_advisory_lock, pg_try_advisory_lock, and those that share
		leaves = seen(Lock)
	case 1599, 6006: // setseed, pg_replication_origin_session_setup
		leaves = seen(Lasting)
	case 715, 952, 953, 954, 955, 956, 957, 958, 964, 1004, 3170, 3171, 3172: // lo_create to lo_truncate64
		harmless = true
	}
	if planted.Is(planted.Called) {
		return 0, true
	}
	return leaves, harmless
}
