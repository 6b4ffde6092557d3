package pgcluster

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// Options says what a Cluster consists of. The zero value is one primary without standbys that trusts everybody.
type Options struct {
	// Standbys is how many streaming standbys follow the primary.
	Standbys int
	// SyncStandby makes a commit on the primary wait for the first standby.
	SyncStandby bool
	// MaxConnections is the server's max_connections; 0 means 100.
	MaxConnections int
	// Conf holds further settings of postgresql.conf, of every server. Values are written quoted.
	Conf map[string]string
	// HBA replaces the lines of pg_hba.conf that trust everybody. The superuser postgres is always let in on the unix
	// socket, and so is replication, whatever the lines say.
	HBA []string
}

// conf renders the settings of one server; the last line for a name wins.
func (o Options) conf(s *Server) string {
	set := map[string]string{
		"listen_addresses":            "127.0.0.1",
		"port":                        strconv.Itoa(s.port.Number),
		"unix_socket_directories":     s.socketDir,
		"cluster_name":                s.name,
		"max_connections":             strconv.Itoa(cmp.Or(o.MaxConnections, 100)),
		"shared_buffers":              "32MB",
		"max_wal_senders":             "10",
		"wal_keep_size":               "256MB",
		"fsync":                       "off",
		"wal_retrieve_retry_interval": "100ms",
		"full_page_writes":            "off",
		"timezone":                    "UTC",
		"log_timezone":                "UTC",
		"log_line_prefix":             "%m [%p] %q%u@%d ",
	}
	if s.upstream != nil {
		set["primary_conninfo"] = fmt.Sprintf("host=%s port=%d user=postgres application_name=%s",
			s.upstream.socketDir, s.upstream.port.Number, s.name)
	} else if o.SyncStandby && o.Standbys > 0 {
		set["synchronous_standby_names"] = "standby1"
	}
	maps.Copy(set, o.Conf)
	var b strings.Builder
	for _, k := range slices.Sorted(maps.Keys(set)) {
		fmt.Fprintf(&b, "%s = '%s'\n", k, strings.ReplaceAll(set[k], "'", "''"))
	}
	return b.String()
}

// hba renders pg_hba.conf.
func (o Options) hba() string {
	lines := []string{"local all postgres trust", "local replication postgres trust"}
	if o.HBA != nil {
		lines = append(lines, o.HBA...)
	} else {
		lines = append(lines, "local all all trust", "host all all all trust", "host replication all all trust")
	}
	return strings.Join(lines, "\n") + "\n"
}
