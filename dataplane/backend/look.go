package backend

import (
	"maps"
	"slices"

	"github.com/heliosproxy/heliosproxy/dataplane/reactor"
	"github.com/heliosproxy/heliosproxy/dataplane/state/pin"
	"github.com/heliosproxy/heliosproxy/dataplane/state/settings"
	"github.com/heliosproxy/heliosproxy/pkg/pgwire"
)

// lookName is the name of the proxy's own statement that looks a connection through.
const lookName = "helios: look"

// appendLook appends a query for what DISCARD ALL would take away, but for what nobody can see: the plans, which mean
// nothing, and what currval and lastval answer. Every name is that of the schema pg_catalog, operators
// too: the search_path is the session's. A value that equals the default counts as the default.
func appendLook(dst []byte, user string, grants bool) []byte {
	dst = settings.AppendBound(append(dst, "SELECT CASE WHEN "...), user, grants)
	return append(dst, lookSQL...)
}

const lookSQL = ` THEN 'bound' ELSE 's' END,s.name,pg_catalog.current_setting(s.name,true) FROM pg_catalog.pg_settings s` +
	` WHERE s.source OPERATOR(pg_catalog.=) 'session' AND (s.reset_val IS NULL OR s.setting OPERATOR(pg_catalog.<>) s.reset_val)` +
	` AND s.name OPERATOR(pg_catalog.!~) '^(transaction_(isolation|read_only|deferrable)|seed)$'` +
	` UNION ALL SELECT 'c',n,pg_catalog.current_setting(n,true) FROM pg_catalog.unnest($1::pg_catalog.text[]) n` +
	` WHERE pg_catalog.current_setting(n,true) IS NOT NULL` +
	` AND NOT EXISTS(SELECT 1 FROM pg_catalog.pg_settings s WHERE s.name OPERATOR(pg_catalog.=) n)` +
	` UNION ALL SELECT 's','role',pg_catalog.current_setting('role')` +
	` UNION ALL SELECT 's','session_authorization',pg_catalog.current_setting('session_authorization')` +
	` UNION ALL SELECT 'temporary',NULL,NULL WHERE EXISTS(SELECT 1 FROM pg_catalog.pg_depend d` +
	` WHERE d.refclassid OPERATOR(pg_catalog.=) 2615 AND d.refobjid OPERATOR(pg_catalog.=) pg_catalog.pg_my_temp_schema())` +
	` UNION ALL SELECT 'cursor',NULL,NULL WHERE EXISTS(SELECT 1 FROM pg_catalog.pg_cursors c WHERE c.is_holdable)` +
	` UNION ALL SELECT 'lock',NULL,NULL WHERE EXISTS(SELECT 1 FROM pg_catalog.pg_locks l` +
	` WHERE l.locktype OPERATOR(pg_catalog.=) 'advisory' AND l.pid OPERATOR(pg_catalog.=) pg_catalog.pg_backend_pid())` +
	` UNION ALL SELECT 'listen',NULL,NULL WHERE EXISTS(SELECT 1 FROM pg_catalog.pg_listening_channels())` +
	` UNION ALL SELECT CASE WHEN p.from_sql THEN 'prepared' ELSE 'held' END,p.name,NULL FROM pg_catalog.pg_prepared_statements p`

// Residue is what a look at a connection has found.
type Residue struct {
	Settings settings.Set // what is set now, but for what the user of the connection could not set
	Holds    pin.Set      // of pin.Found; and pin.Unknown, if there is something that the user could not set
	Others   []string     // names of prepared statements that were not made by SQL and are not known to be held
}

// Inspect finds out what is on the connection, which must be idle and owe nothing: after it, what is set is
// known again. custom are names of parameters that no extension may have defined; the server does not list
// those. An empty value counts where own says of the name that the session has set it: else it is what another one has left, as such a
// parameter never goes away again. A server that does not answer the question, as under a short statement_timeout, refuses.
// The session's unnamed statement stays.
func (c *Conn) Inspect(t *reactor.Task, custom []string, own func(name string) bool) (r Residue, refused *pgwire.ServerError, err error) {
	var set []settings.Pair
	held := map[string]bool{}
	var kind string
	row := func(i int, v []byte) {
		switch i {
		case 0:
			kind = string(v)
			if kind == "s" || kind == "c" {
				set = append(set, settings.Pair{})
			}
			r.Holds |= holds[kind]
		case 1:
			switch kind {
			case "s", "c":
				set[len(set)-1].Name = string(v)
			case "held":
				held[string(v)] = true
			}
		case 2:
			switch n := len(set) - 1; {
			case kind == "s" || kind == "c" && (len(v) > 0 || own(set[n].Name)):
				set[n].Value = string(v)
			case kind == "c":
				set = set[:n]
			}
		}
	}
	parsed := c.Held.Looks
	refused, err = c.look(t, parsed, custom, row)
	if err == nil && refused != nil && parsed && refused.SQLState == "26000" { // somebody has deallocated it
		refused, err = c.look(t, false, custom, row)
	}
	if err != nil || refused != nil {
		return Residue{}, refused, err
	}
	c.Held.Looks = true
	c.Held.Retain(held) // code may deallocate what is not its own
	delete(held, lookName)
	r.Others = slices.Collect(maps.Keys(held))
	var ps []settings.Pair
	for _, p := range set {
		if p.Name == "role" && p.Value == "none" || p.Name == "session_authorization" && p.Value == c.Target.User {
			continue
		}
		ps = append(ps, p)
	}
	r.Settings = settings.Of(ps...)
	c.Settings = r.Settings
	return r, nil, nil
}

// look sends the question, with its Parse unless the connection has it parsed.
func (c *Conn) look(t *reactor.Task, parsed bool, custom []string, row func(i int, v []byte)) (*pgwire.ServerError, error) {
	var msgs []byte
	if !parsed {
		msgs = pgwire.AppendNamed(msgs, pgwire.Close, 'S', lookName)
		msgs = pgwire.AppendParse(msgs, lookName, append(appendLook(nil, c.Target.User, c.grants()), 0, 0, 0))
	}
	msgs = pgwire.AppendBindText(msgs, lookName, lookName, settings.AppendArray(nil, custom))
	msgs = pgwire.AppendExecute(msgs, lookName)
	msgs = pgwire.AppendSync(msgs)
	return c.exchange(t, msgs, row)
}

var holds = map[string]pin.Set{
	"temporary": pin.Temporary, "cursor": pin.Cursor, "lock": pin.Lock, "listen": pin.Listen, "prepared": pin.Prepared,
	"bound": pin.Unknown,
}
