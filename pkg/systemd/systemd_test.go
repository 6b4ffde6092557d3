package systemd

import (
	"maps"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// manager has an environment of its own, and the number 7.
func manager(env map[string]string) *Manager {
	return New(func(k string) string { return env[k] }, 7, func() time.Duration { return 1500 * time.Microsecond })
}

func TestSockets(t *testing.T) {
	for _, tt := range []struct {
		name             string
		pid, fds, naming string
		want             map[int]string
		fault            string
	}{
		{"none", "", "", "", nil, ""},
		{"another process's", "8", "1", "", nil, ""},
		{"no process's", "", "1", "", nil, ""},
		{"one", "7", "1", "", map[int]string{3: ""}, ""},
		{"names", "7", "2", "a:b.socket", map[int]string{3: "a", 4: "b.socket"}, ""},
		{"too few names", "7", "2", "a", nil, "1 names for 2 sockets"},
		{"no number", "7", "x", "", nil, "LISTEN_FDS"},
		{"negative", "7", "-1", "", nil, "LISTEN_FDS"},
		{"too many", "7", "1025", "", nil, "LISTEN_FDS"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := manager(map[string]string{"LISTEN_PID": tt.pid, "LISTEN_FDS": tt.fds, "LISTEN_FDNAMES": tt.naming}).Sockets()
			if !maps.Equal(got, tt.want) || (err == nil) != (tt.fault == "") || err != nil && !strings.Contains(err.Error(), tt.fault) {
				t.Errorf("got %v, %v", got, err)
			}
		})
	}
}

func TestWatchdog(t *testing.T) {
	for _, tt := range []struct {
		name, usec, pid string
		want            time.Duration
		fails           bool
	}{
		{"none", "", "", 0, false},
		{"everybody's", "2000000", "", 2 * time.Second, false},
		{"ours", "2000000", "7", 2 * time.Second, false},
		{"another process's", "2000000", "8", 0, false},
		{"no number", "soon", "", 0, true},
		{"0", "0", "", 0, true},
		{"too long", "99999999999999999", "", 0, true},
	} {
		got, err := manager(map[string]string{"WATCHDOG_USEC": tt.usec, "WATCHDOG_PID": tt.pid}).Watchdog()
		if got != tt.want || (err != nil) != tt.fails {
			t.Errorf("%s: got %v, %v", tt.name, got, err)
		}
	}
}

// TestTold: what is told arrives in one datagram, at a path and in the abstract namespace.
func TestTold(t *testing.T) {
	path := filepath.Join(t.TempDir(), "notify")
	for _, socket := range []string{path, "@" + path} {
		l, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Net: "unixgram", Name: socket})
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		m := manager(map[string]string{"NOTIFY_SOCKET": socket})
		for _, tt := range []struct {
			tell func() error
			want string
		}{
			{func() error { return m.Ready("two\nlines") }, "READY=1\nMAINPID=7\nSTATUS=two lines"},
			{m.Reloading, "RELOADING=1\nMONOTONIC_USEC=1500"},
			{func() error { return m.Stopping("draining") }, "STOPPING=1\nSTATUS=draining"},
			{m.Alive, "WATCHDOG=1"},
		} {
			if err := tt.tell(); err != nil {
				t.Fatal(err)
			}
			got := make([]byte, 1000)
			n, err := l.Read(got)
			if err != nil || string(got[:n]) != tt.want {
				t.Errorf("got %q, %v, want %q", got[:n], err, tt.want)
			}
		}
	}
}

// TestNobody: without a manager nothing fails, and one that cannot be reached is named.
func TestNobody(t *testing.T) {
	for _, m := range []*Manager{nil, manager(nil)} {
		for _, err := range []error{m.Ready(""), m.Reloading(), m.Stopping(""), m.Alive()} {
			if err != nil {
				t.Error(err)
			}
		}
	}
	for _, socket := range []string{"vsock:2:9", filepath.Join(t.TempDir(), "gone")} {
		if err := manager(map[string]string{"NOTIFY_SOCKET": socket}).Alive(); err == nil || !strings.Contains(err.Error(), socket) {
			t.Errorf("%s: %v", socket, err)
		}
	}
}
