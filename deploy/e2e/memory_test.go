package e2e

import (
	"encoding/binary"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/heliosproxy/heliosproxy/pkg/testkit/pgcluster"
	"github.com/heliosproxy/heliosproxy/pkg/testkit/pgscript"
)

const mib = 1 << 20

// bigResult is a query of so many megabytes, made row by row.
func bigResult(megabytes int) []byte {
	return pgscript.Query(fmt.Sprintf("select repeat('x', 1000), generate_series(1, %d)", megabytes*1000))
}

func login(t *testing.T, p *Proxy) *pgscript.Client {
	t.Helper()
	c := pgscript.Dial(t, "tcp", p.Addr())
	c.Login(pgscript.Login{User: "postgres", Database: "postgres"})
	return c
}

// TestSlowReader: a result that its client takes slowly waits in the server, not in the proxy.
func TestSlowReader(t *testing.T) {
	server := pgcluster.Start(t, pgcluster.Options{}).Primary
	proxy := StartProxy(t, server, Options{})
	megabytes := full(1000, 150)
	stop := WatchMemory(t, proxy)
	c := login(t, proxy)
	c.Send(bigResult(megabytes))
	buf, total, tail := make([]byte, 64<<10), 0, []byte(nil)
	for total < megabytes*1_000_000 || !strings.HasSuffix(string(tail), "Z\x00\x00\x00\x05I") {
		if err := c.SetReadDeadline(time.Now().Add(patience)); err != nil {
			t.Fatal(err)
		}
		n, err := c.Read(buf)
		if err != nil {
			t.Fatalf("after %d bytes: %v", total, err)
		}
		total += n
		tail = append(tail, buf[:n]...)
		tail = append([]byte(nil), tail[max(0, len(tail)-6):]...)
		time.Sleep(time.Millisecond)
	}
	if most := stop(); most > 100*mib {
		t.Errorf("%d MiB, at most 100 allowed", most/mib)
	} else {
		t.Logf("%d MiB", most/mib)
	}
}

// TestClientsThatStopReading: 50 large results that nobody takes cost the proxy little, and others are served.
func TestClientsThatStopReading(t *testing.T) {
	server := pgcluster.Start(t, pgcluster.Options{}).Primary
	proxy := StartProxy(t, server, Options{MaxConnections: 60})
	stop := WatchMemory(t, proxy)
	for range 50 {
		c := login(t, proxy)
		c.Send(bigResult(1000))
		c.Until("T")
	}
	time.Sleep(full(10*time.Second, 2*time.Second))
	if got := strings.Join(login(t, proxy).Run(pgscript.Query("select 1")), "; "); got != "T ?column?:23; D 1; C SELECT 1; Z I" {
		t.Errorf("another client got %s", got)
	}
	if most := stop(); most > 150*mib {
		t.Errorf("%d MiB, at most 150 allowed", most/mib)
	} else {
		t.Logf("%d MiB", most/mib)
	}
}

// TestLargeValue: one value of 900 MB goes out and in through little memory.
func TestLargeValue(t *testing.T) {
	server := pgcluster.Start(t, pgcluster.Options{}).Primary
	proxy := StartProxy(t, server, Options{})
	size := full(900_000_000, 90_000_000)
	stop := WatchMemory(t, proxy)
	c := login(t, proxy)

	c.Send(pgscript.Query(fmt.Sprintf("select repeat('x', %d)", size)))
	c.Until("T")
	if err := c.SetReadDeadline(time.Now().Add(5 * time.Minute)); err != nil {
		t.Fatal(err)
	}
	head := make([]byte, 11) // 'D', length, one column, its length
	if _, err := io.ReadFull(c, head); err != nil || head[0] != 'D' || int(binary.BigEndian.Uint32(head[7:])) != size {
		t.Fatalf("%x, %v: no row with a value of %d bytes", head, err, size)
	}
	if n, err := io.CopyN(io.Discard, c, int64(size)); err != nil {
		t.Fatalf("after %d bytes of the value: %v", n, err)
	}
	c.Expect("C SELECT 1", "Z I")

	c.Send(pgscript.Parse("", "select length($1)", 25))
	bind := pgscript.Bind("", "", "")
	binary.BigEndian.PutUint32(bind[1:], uint32(len(bind)-1+size))
	binary.BigEndian.PutUint32(bind[len(bind)-6:], uint32(size))
	c.Send(bind[:len(bind)-2])
	var sending sync.WaitGroup
	sending.Go(func() {
		piece := []byte(strings.Repeat("y", 1_000_000))
		for range size / len(piece) {
			if err := c.Conn.Send(piece); err != nil {
				t.Errorf("send the value: %v", err)
				return
			}
		}
		if err := c.Conn.Send(bind[len(bind)-2:], pgscript.Execute("", 0), pgscript.Sync()); err != nil {
			t.Error(err)
		}
	})
	sending.Wait()
	c.Expect("1", "2", fmt.Sprintf("D %d", size), "C SELECT 1", "Z I")
	if most := stop(); most > 150*mib {
		t.Errorf("%d MiB, at most 150 allowed", most/mib)
	} else {
		t.Logf("%d MiB", most/mib)
	}
}

// TestIdleClients: a client that does nothing costs at most 4 KiB. What log-ins have left for the collector is not what a client costs:
// of several moments the one counts at which there is least of it.
func TestIdleClients(t *testing.T) {
	const first, more, moments, limit = 2000, 500, 5, 4 << 10
	server := pgcluster.Start(t, pgcluster.Options{}).Primary
	proxy := StartProxy(t, server, Options{})
	login(t, proxy).Run(pgscript.Query("select 1"))
	before := proxy.Memory(t)
	clients, least := 0, 1<<30
	for moment := range moments {
		n := more
		if moment == 0 {
			n = first
		}
		for range n {
			login(t, proxy)
		}
		clients += n
		time.Sleep(200 * time.Millisecond)
		least = min(least, (proxy.Memory(t)-before)/clients)
	}
	t.Logf("%d bytes a client", least)
	if least > limit {
		t.Errorf("%d bytes a client, at most %d allowed", least, limit)
	}
}
