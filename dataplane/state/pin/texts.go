package pin

import (
	"bytes"

	"github.com/heliosproxy/heliosproxy/pkg/planted"
	"github.com/heliosproxy/heliosproxy/pkg/sqlparse"
	"github.com/heliosproxy/heliosproxy/pkg/sqltext"
)

// Leaves is what a text says that it leaves on its server connection for the session alone. f are its flags, and sql is what
// the grammar says of it, nil where it does not know it.
func Leaves(text []byte, stdStrings bool, f sqltext.Flags, sql *sqlparse.Facts) Set {
	var why Set
	if sql != nil {
		why = leavesOf(sql)
	} else {
		why = leavesByWords(f)
	}
	if f&sqltext.FlagSet != 0 && setsSeed(text, stdStrings) || f&sqltext.FlagSetConfig != 0 && NamesSeed(text) {
		why |= Lasting
	}
	return seen(why)
}

// seen is what is seen of what a text leaves: all, but in builds that are to miss something.
func seen(why Set) Set {
	for _, p := range [...]struct {
		fault  planted.Fault
		misses Set
	}{
		{planted.Temporary, Temporary},
		{planted.Cursor, Cursor},
		{planted.Lock, Lock},
		{planted.Listen, Listen},
		{planted.Prepared, Prepared},
		{planted.Seed, Lasting},
	} {
		if planted.Is(p.fault) {
			why &^= p.misses
		}
	}
	return why
}

// leavesByWords is leaves for a text that the grammar does not know.
func leavesByWords(f sqltext.Flags) (why Set) {
	for _, w := range [...]struct {
		flag sqltext.Flags
		why  Set
	}{
		{sqltext.FlagPrepare, Prepared},
		{sqltext.FlagListen, Listen},
		{sqltext.FlagCreateTemp, Temporary},
		{sqltext.FlagHoldCursor, Cursor},
		{sqltext.FlagAdvisory, Lock},
	} {
		if f&w.flag != 0 {
			why |= w.why
		}
	}
	return why
}

// leavesOf is leaves for a text that the grammar knows.
func leavesOf(f *sqlparse.Facts) (why Set) {
	for _, d := range [...]struct {
		does sqlparse.Does
		why  Set
	}{
		{sqlparse.Prepares, Prepared},
		{sqlparse.Listens, Listen},
		{sqlparse.MakesTemp, Temporary},
		{sqlparse.HoldsCursor, Cursor},
		{sqlparse.Loads, Lasting},
	} {
		if f.Does&d.does != 0 {
			why |= d.why
		}
	}
	for _, n := range f.Functions {
		switch n.Name {
		case "pg_advisory_lock", "pg_advisory_lock_shared", "pg_try_advisory_lock", "pg_try_advisory_lock_shared":
			why |= Lock
		case "setseed", "dblink_connect", "dblink_connect_u", "pg_replication_origin_session_setup",
			"pg_backup_start", "pg_start_backup", "pg_create_physical_replication_slot", "pg_create_logical_replication_slot":
			why |= Lasting
		}
	}
	return why
}

// Releases says whether a text may take away something that the session keeps its server connection for.
func Releases(f *sqlparse.Facts) bool {
	if f == nil || f.Does&(sqlparse.Changes|sqlparse.RunsCode|sqlparse.Calls|sqlparse.Executes|sqlparse.Other) != 0 {
		return true
	}
	for _, n := range f.Functions {
		switch n.Name {
		case "pg_advisory_unlock", "pg_advisory_unlock_shared", "pg_advisory_unlock_all":
			return true
		}
	}
	return false
}

// NamesSeed says whether the parameter seed is named in a string constant of a text that may set parameters by name, or is all of a value.
func NamesSeed(text []byte) bool {
	lower := bytes.ToLower(text)
	return bytes.Contains(lower, []byte("'seed'")) || bytes.Equal(lower, []byte("seed"))
}

// setsSeed says whether one of the statements is SET seed.
func setsSeed(text []byte, stdStrings bool) bool {
	var sc sqltext.Scanner
	sc.Reset(text, stdStrings)
	for {
		st, ok := sc.Next()
		if !ok {
			return false
		}
		var name [128]byte
		if d, ok := sqltext.ParseSession(text[st.Start:st.End], stdStrings, name[:0]); ok && d.Kind == sqltext.SetSeed {
			return true
		}
	}
}
