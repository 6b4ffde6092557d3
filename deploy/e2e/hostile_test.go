package e2e

import (
	"bytes"
	"encoding/binary"
	"math/rand/v2"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/heliosproxy/heliosproxy/pkg/testkit/pgcluster"
	"github.com/heliosproxy/heliosproxy/pkg/testkit/pgscript"
)

// TestHostileClients: whatever a client sends or does not send, others are served as before and the proxy's memory stays small.
func TestHostileClients(t *testing.T) {
	server := pgcluster.Start(t, pgcluster.Options{}).Primary
	proxy := StartProxy(t, server, Options{MaxConnections: 5})
	good := login(t, proxy)
	stop := WatchMemory(t, proxy)

	startup := pgscript.Startup(pgscript.Version30, "user", "postgres", "database", "postgres")
	gigabyte := binary.BigEndian.AppendUint32([]byte{'Q'}, 1<<30)
	beforeLogin := map[string][]byte{
		"silence":                nil,
		"half a length":          {0, 0},
		"half a start-up":        startup[:len(startup)/2],
		"length of 1 GB":         binary.BigEndian.AppendUint32(nil, 1<<30),
		"length of zero":         {0, 0, 0, 0, 0, 0, 0, 0},
		"negative length":        {255, 255, 255, 255, 0, 3, 0, 0},
		"an HTTP request":        []byte("GET / HTTP/1.1\r\nHost: x\r\n\r\n"),
		"unterminated parameter": append(binary.BigEndian.AppendUint32(nil, 20), []byte("\x00\x03\x00\x00user\x00postgres")...),
		"no user":                pgscript.Startup(pgscript.Version30, "database", "postgres"),
		"version 2":              pgscript.Startup(2<<16, "user", "postgres"),
		"smuggled after SSL":     bytes.Join([][]byte{pgscript.SSLRequest(), startup}, nil),
		"SSL for ever":           bytes.Repeat(pgscript.SSLRequest(), 100),
		"cancel of nobody":       pgscript.CancelRequest(1<<31, []byte{1, 2, 3, 4}),
		"long cancel key":        pgscript.CancelRequest(1, bytes.Repeat([]byte{1}, 5000)),
	}
	afterLogin := map[string][]byte{
		"half a message":      pgscript.Query("select 1")[:7],
		"message of 1 GB":     gigabyte,
		"message of no bytes": {'Q', 0, 0, 0, 0},
		"unknown message":     pgscript.Frame('?', []byte("what")),
		"query without end":   pgscript.Frame('Q', []byte("select 1")),
		"server's message":    pgscript.ReadyForQuery('I'),
		"bind of nonsense":    append(pgscript.Frame('B', []byte{0, 0, 255, 255}), pgscript.Sync()...),
		"copy data":           append(pgscript.CopyData("x"), pgscript.Query("select 1")...),
		"syncs":               bytes.Repeat(pgscript.Sync(), 5000),
	}
	const each = 20
	for name, raw := range beforeLogin {
		t.Run(name, func(t *testing.T) {
			for range each {
				open(t, proxy, raw)
			}
			stillServed(t, good, proxy)
		})
	}
	for name, raw := range afterLogin {
		t.Run(name, func(t *testing.T) {
			for range each {
				c := login(t, proxy)
				_ = c.Conn.Send(raw) // it may be cut off while it sends
			}
			stillServed(t, good, proxy)
		})
	}
	t.Run("noise", func(t *testing.T) {
		random := rand.New(rand.NewPCG(1, 2))
		for range full(2000, 300) {
			noise := make([]byte, random.IntN(200))
			for i := range noise {
				noise[i] = byte(random.Uint32())
			}
			conn := open(t, proxy, noise)
			conn.Close()
		}
		stillServed(t, good, proxy)
	})
	if most := stop(); most > 100*mib {
		t.Errorf("%d MiB, at most 100 allowed", most/mib)
	}
}

// open connects, sends and leaves the connection open until the test ends.
func open(t *testing.T, p *Proxy, raw []byte) net.Conn {
	t.Helper()
	conn, err := net.DialTimeout("tcp", p.Addr(), patience)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	_, _ = conn.Write(raw) // it may be cut off while it sends
	return conn
}

// stillServed checks an old client and a new one.
func stillServed(t *testing.T, good *pgscript.Client, p *Proxy) {
	t.Helper()
	start := time.Now()
	for _, c := range []*pgscript.Client{good, login(t, p)} {
		want := "T n:23; D 7; C SELECT 1; Z I"
		if got := strings.Join(c.Run(pgscript.Query("select 7 as n")), "; "); got != want {
			t.Errorf("a good client got %s, want %s", got, want)
		}
	}
	if took := time.Since(start); took > 5*time.Second {
		t.Errorf("good clients waited for %v", took)
	}
}
