package console

import (
	"cmp"
	"fmt"
	"time"
)

// table is something that SHOW shows.
type table struct {
	name    string
	columns []column
	rows    func(Desk) [][]any
	admin   bool
}

// shows are the tables with the columns of PgBouncer 1.25 in its order, and ours behind them.
func shows() []table {
	return []table{
		{name: "DATABASES", columns: columns("name host port:i database force_user pool_size:i min_pool_size:i reserve_pool_size:i server_lifetime:i pool_mode load_balance_hosts max_connections:i current_connections:i max_client_connections:i current_client_connections:i paused:i disabled:i node reserve_pool:i"), rows: func(d Desk) [][]any {
			return each(d.Databases(), databaseRow)
		}},
		{name: "POOLS", columns: columns("database user cl_active:i cl_waiting:i cl_active_cancel_req:i cl_waiting_cancel_req:i sv_active:i sv_active_cancel:i sv_being_canceled:i sv_idle:i sv_used:i sv_tested:i sv_login:i maxwait:i maxwait_us:i pool_mode load_balance_hosts node server_database cl_pinned:i sv_closing:i pool_size:i"), rows: func(d Desk) [][]any {
			return each(d.Pools(), poolRow)
		}},
		{name: "CLIENTS", columns: sockets("pinned_by"), rows: func(d Desk) [][]any {
			return each(d.Clients(), func(c Client) []any { return append(socketRow("C", &c), c.PinnedBy) })
		}},
		{name: "SERVERS", columns: sockets("node"), rows: func(d Desk) [][]any {
			return each(d.Servers(), func(s Server) []any { return append(socketRow("S", &s.Client), s.Node) })
		}},
		{name: "SOCKETS", columns: sockets(buffers), rows: func(d Desk) [][]any { return allSockets(d, false) }},
		{name: "ACTIVE_SOCKETS", columns: sockets(buffers), rows: func(d Desk) [][]any { return allSockets(d, true) }},
		{name: "STATS", columns: columns("database " + numeric("total_", totals()) + " " + numeric("avg_", averages()) + " total_requests:n"), rows: func(d Desk) [][]any {
			return each(d.Stats(), func(s Stats) []any {
				return append(append(append([]any{s.Database}, countsRow(s.Total)...), averagesRow(s)...), s.Total.Queries)
			})
		}},
		{name: "STATS_TOTALS", columns: columns("database " + numeric("", plain())), rows: func(d Desk) [][]any {
			return each(d.Stats(), func(s Stats) []any { return append([]any{s.Database}, countsRow(s.Total)...) })
		}},
		{name: "STATS_AVERAGES", columns: columns("database " + numeric("", plain())), rows: func(d Desk) [][]any {
			return each(d.Stats(), func(s Stats) []any { return append([]any{s.Database}, averagesRow(s)...) })
		}},
		{name: "TOTALS", columns: columns("name value:n"), rows: totalRows},
		{name: "LISTS", columns: columns("list items:i"), rows: func(d Desk) [][]any {
			return each(d.Lists(), func(c Count) []any { return []any{c.What, c.N} })
		}},
		{name: "USERS", columns: columns("name pool_size reserve_pool_size pool_mode max_user_connections:i current_connections:i max_user_client_connections:i current_client_connections:i"), rows: func(d Desk) [][]any {
			return each(d.Users(), func(u User) []any {
				return []any{u.Name, unless(u.PoolSize), unless(u.ReserveSize), null(u.Mode), u.MaxServers, u.Servers, u.MaxClients, u.ClientsOpen}
			})
		}},
		{name: "CONFIG", columns: columns("key value default changeable"), rows: func(d Desk) [][]any {
			return each(d.Settings(), func(s Setting) []any {
				changeable := "no"
				if s.Changeable {
					changeable = "yes"
				}
				return []any{s.Key, s.Value, s.Default, changeable}
			})
		}},
		{name: "VERSION", columns: columns("version"), rows: func(d Desk) [][]any { return [][]any{{d.Version()}} }},
		{name: "MEM", columns: columns("name size:i used:i free:i memtotal:i"), rows: func(d Desk) [][]any {
			return each(d.Memory(), func(m Memory) []any { return []any{m.Name, m.Size, m.Used, m.Free, m.Bytes} })
		}},
		{name: "FDS", columns: columns("fd:i task user database addr port:i cancel:q link:i client_encoding std_strings datestyle timezone password scram_client_key scram_server_key"), admin: true, rows: noRows},
		{name: "DNS_HOSTS", columns: columns("hostname ttl:q addrs"), rows: func(d Desk) [][]any {
			return each(d.Hosts(), func(h Host) []any { return []any{h.Name, int(h.TTL / time.Second), h.Addresses} })
		}},
		{name: "DNS_ZONES", columns: columns("zonename serial:q count:i"), rows: func(d Desk) [][]any {
			return each(d.Zones(), func(z Zone) []any { return []any{z.Name, z.Serial, z.Names} })
		}},
		{name: "STATE", columns: columns("key value"), rows: func(d Desk) [][]any {
			s := d.State()
			return [][]any{{"active", yes(!s.Paused && !s.Suspended)}, {"paused", yes(s.Paused)}, {"suspended", yes(s.Suspended)}}
		}},
		{name: "PEERS", columns: columns("peer_id:i host port:i pool_size:i node_id"), rows: func(d Desk) [][]any {
			return each(d.Peers(), func(p Peer) []any { return []any{p.Number, p.Host, p.Port, p.Max, p.NodeID} })
		}},
		{name: "PEER_POOLS", columns: columns("peer_id:i cl_active_cancel_req:i cl_waiting_cancel_req:i sv_active_cancel:i sv_login:i"), rows: func(d Desk) [][]any {
			return each(d.Peers(), func(p Peer) []any { return []any{p.Number, p.Flying, 0, p.Flying, 0} })
		}},
		{name: "AUTH_CACHE", columns: knownColumns(), admin: true, rows: func(d Desk) [][]any { return each(d.Known(""), knownRow) }},
	}
}

// noRows is for what a proxy has nothing of: descriptors are not handed out over the console.
func noRows(Desk) [][]any { return nil }

func each[T any](all []T, row func(T) []any) [][]any {
	rows := make([][]any, 0, len(all))
	for _, x := range all {
		rows = append(rows, row(x))
	}
	return rows
}

func knownColumns() []column { return columns("cluster database user secret asked until key") }

func knownRow(k Known) []any {
	return []any{k.Cluster, null(k.Database), k.User, null(k.Secret), null(stamp(k.Asked)), null(stamp(k.Until)), yes(k.Key)}
}

func databaseRow(d Database) []any {
	return []any{
		d.Name, null(d.Host), d.Port, cmp.Or(d.Database, d.Name), null(d.ForceUser), d.PoolSize, d.MinPoolSize, d.ReservePoolSize, int(d.ServerLifetime / time.Second),
		null(d.Mode), null(d.LoadBalanceHosts), d.MaxServers, d.Servers, d.MaxClients, d.Clients, bit(d.Paused), bit(d.Disabled), null(d.Node), d.ReservePoolSize,
	}
}

func poolRow(p Pool) []any {
	return []any{
		p.Database, p.User, p.ClientsActive, p.Waiting, p.CancelsActive, p.CancelsWait, p.Active, p.Cancelling, p.BeingCancelled,
		p.Idle, 0, p.Tested, p.Login, int(p.MaxWait / time.Second), int(p.MaxWait % time.Second / time.Microsecond), p.Mode, null(p.LoadBalanceHosts),
		p.Node, p.ServerDatabase, p.Pinned, p.Closing, p.MaxServers,
	}
}

const (
	buffers = "recv_pos:i pkt_pos:i pkt_remain:i send_pos:i send_remain:i pkt_avail:i send_avail:i"
	socket  = "type user database replication state addr port:i local_addr local_port:i connect_time request_time wait:i wait_us:i close_needed:i ptr link remote_pid:i tls application_name prepared_statements:i id:q"
)

func sockets(ours string) []column { return columns(socket + " " + ours) }

func socketRow(kind string, c *Client) []any {
	return []any{
		kind, cmp.Or(c.User, "(nouser)"), cmp.Or(c.Database, "(nodb)"), cmp.Or(c.Replication, "none"), c.State, c.Addr, c.Port, c.LocalAddr, c.LocalPort,
		c.Connected, null(stamp(c.Requested)), int(c.Wait / time.Second), int(c.Wait % time.Second / time.Microsecond), bit(c.Closing), c.Self, c.Link, c.PID, c.TLS,
		c.Application, c.Statements, c.ID,
	}
}

// allSockets are clients and servers with the names of their states that PgBouncer has here. What is in buffers is known to nobody:
// those who are at rest have none.
func allSockets(d Desk, active bool) [][]any {
	var rows [][]any
	add := func(kind, prefix string, c *Client) {
		if active && c.State != "active" {
			return
		}
		row := socketRow(kind, c)
		row[4] = prefix + c.State
		rows = append(rows, append(row, 0, 0, 0, 0, 0, 0, 0))
	}
	for _, c := range d.Clients() {
		add("C", "cl_", &c)
	}
	for _, s := range d.Servers() {
		add("S", "sv_", &s.Client)
	}
	return rows
}

func totalRows(d Desk) [][]any {
	var sum Stats
	for _, s := range d.Stats() {
		sum.Total.add(&s.Total)
		sum.Last.add(&s.Last)
		sum.Period = s.Period
	}
	var rows [][]any
	for i, v := range countsRow(sum.Total) {
		rows = append(rows, []any{"total_" + totals()[i], v})
	}
	for i, v := range averagesRow(sum) {
		rows = append(rows, []any{"avg_" + averages()[i], v})
	}
	return rows
}

func bit(is bool) int {
	if is {
		return 1
	}
	return 0
}

func yes(is bool) string {
	if is {
		return "yes"
	}
	return "no"
}

func null(s string) any {
	if s == "" {
		return nil
	}
	return s
}

func unless(n int) any {
	if n == 0 {
		return nil
	}
	return fmt.Sprint(n)
}

func stamp(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format("2006-01-02 15:04:05 UTC")
}
