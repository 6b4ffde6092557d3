package resource

import (
	"maps"
	"slices"
	"strings"
)

// parameters checks what a database sets for its clients. Whether the server knows the parameters, and takes the values, it says itself.
func (c *checker) parameters(field string, all map[string]string) {
	folded := map[string]string{}
	for _, name := range slices.Sorted(maps.Keys(all)) {
		low := strings.ToLower(name)
		switch other, twice := folded[low]; {
		case !isParameter(name):
			c.refuse(field, "%q is not NAME or PREFIX.NAME", name)
		case twice:
			c.refuse(field, "%q and %q are one parameter", other, name)
		case notForAll(low) != "":
			c.refuse(field, "%q %s", name, notForAll(low))
		}
		folded[low] = name
		c.noNUL(field, all[name])
	}
}

// notForAll says why a parameter cannot be set for all clients of a database; empty if it can.
func notForAll(name string) string {
	switch name {
	case "user", "database", "replication", "options":
		return "is no run-time parameter, but what a client asks for"
	case "role", "session_authorization":
		return "decides who a client is: server_user says that"
	case "transaction_isolation", "transaction_read_only", "transaction_deferrable":
		return "is a transaction's: set default_" + name
	case "in_hot_standby", "integer_datetimes", "is_superuser", "server_encoding", "server_version":
		return "is the server's to say"
	}
	if strings.HasPrefix(name, "_pq_.") {
		return "is an extension of the protocol"
	}
	return ""
}

// isParameter says whether a name is that of a run-time parameter: an identifier, or several with dots between.
func isParameter(name string) bool {
	for part := range strings.SplitSeq(name, ".") {
		for i, c := range part {
			letter := c == '_' || c|0x20 >= 'a' && c|0x20 <= 'z'
			if !letter && (i == 0 || c != '$' && (c < '0' || c > '9')) {
				return false
			}
		}
		if part == "" {
			return false
		}
	}
	return true
}
