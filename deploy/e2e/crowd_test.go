package e2e

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/heliosproxy/heliosproxy/pkg/testkit/pgcluster"
)

// client is one of thousands: it speaks as much of the protocol as it takes to ask.
type client struct {
	net.Conn
	in *bufio.Reader
}

// arrive logs in as postgres, whom everybody trusts.
func arrive(addr, database string) (*client, error) {
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		return nil, err
	}
	c := &client{conn, bufio.NewReaderSize(conn, 512)}
	p := []byte("\x00\x00\x00\x00\x00\x03\x00\x00user\x00postgres\x00database\x00" + database + "\x00\x00")
	binary.BigEndian.PutUint32(p, uint32(len(p)))
	if _, err = conn.Write(p); err == nil {
		err = c.ready()
	}
	if err != nil {
		conn.Close()
		return nil, err
	}
	return c, nil
}

// ask sends a query and reads its answer.
func (c *client) ask(sql string) error {
	p := append([]byte{'Q', 0, 0, 0, 0}, sql...)
	p = append(p, 0)
	binary.BigEndian.PutUint32(p[1:], uint32(len(p)-1))
	if _, err := c.Write(p); err != nil {
		return err
	}
	return c.ready()
}

// ready reads up to ReadyForQuery. An error of the server is one.
func (c *client) ready() error {
	var failed error
	for {
		var head [5]byte
		if _, err := io.ReadFull(c.in, head[:]); err != nil {
			return err
		}
		body := make([]byte, binary.BigEndian.Uint32(head[1:])-4)
		if _, err := io.ReadFull(c.in, body); err != nil {
			return err
		}
		switch head[0] {
		case 'E':
			failed = fmt.Errorf("%q", body)
		case 'Z':
			return failed
		}
	}
}

// crowd has n clients ask again and again until the time is over, pausing in between, and returns how long each answer took, sorted.
func crowd(t testing.TB, addr, database string, n int, sql string, pause, length time.Duration) []time.Duration {
	t.Helper()
	clients := make([]*client, n)
	var coming sync.WaitGroup
	places := make(chan struct{}, 50) // log-ins at once
	for i := range clients {
		coming.Go(func() {
			places <- struct{}{}
			defer func() { <-places }()
			c, err := arrive(addr, database)
			if err != nil {
				t.Errorf("log in: %v", err)
				return
			}
			clients[i] = c
		})
	}
	coming.Wait()
	if t.Failed() {
		return nil
	}
	took := make([][]time.Duration, n)
	end := time.Now().Add(length)
	var asking sync.WaitGroup
	for i, c := range clients {
		asking.Go(func() {
			defer c.Close()
			for time.Now().Before(end) {
				began := time.Now()
				if err := c.ask(sql); err != nil {
					t.Errorf("%s: %v", sql, err)
					return
				}
				took[i] = append(took[i], time.Since(began))
				time.Sleep(pause)
			}
		})
	}
	asking.Wait()
	all := slices.Concat(took...)
	slices.Sort(all)
	return all
}

func percentile(all []time.Duration, p float64) time.Duration {
	if len(all) == 0 {
		return 0
	}
	return all[min(len(all)-1, int(float64(len(all))*p))]
}

// everything is a configuration in which all that bounds and watches clients and servers is on, and nothing of it is reached.
const everything = `
[limits]
max_clients = 20000
max_clients_per_user = 20000
max_clients_per_database = 20000
max_server_connections_per_database = 40
max_server_connections_per_user = 40
`

// pooled is what [pool] says besides.
const pooled = `min_connections = 10
reserve_connections = 5
reserve_timeout_secs = 600
acquire_timeout_secs = 300
query_timeout_secs = 600
transaction_timeout_secs = 600
idle_transaction_timeout_secs = 600
client_idle_timeout_secs = 600
max_lifetime_secs = 60
`

// TestCrowd has 10,000 clients share 40 server connections for five minutes (short: 1,500 for some seconds) with everything on: nobody
// gets an error, and the memory of the proxy does not grow. In full length, where nothing else runs, the 99th percentile is at most 15
// times that of 1,000 clients: ten is the queue's own.
func TestCrowd(t *testing.T) {
	server := pgcluster.Start(t, pgcluster.Options{}).Primary
	proxy := StartProxy(t, server, Options{MaxConnections: 40, Pool: pooled, More: everything})
	few := crowd(t, proxy.Addr(), "postgres", full(1000, 150), "SELECT 1", 0, full(time.Minute, 2*time.Second))
	n, length := full(10000, 1500), full(5*time.Minute, 4*time.Second)
	var memory []int
	done := make(chan struct{})
	go func() {
		defer close(done)
		for range 5 {
			time.Sleep(length / 5)
			memory = append(memory, proxy.Memory(t)>>20)
		}
	}()
	many := crowd(t, proxy.Addr(), "postgres", n, "SELECT 1", 0, length)
	<-done
	a, b := percentile(few, 0.99), percentile(many, 0.99)
	t.Logf("%d clients: %d answers, median %v, p99 %v; %d clients: %d answers, median %v, p99 %v; MiB in five moments: %v",
		full(1000, 150), len(few), percentile(few, 0.5), a, n, len(many), percentile(many, 0.5), b, memory)
	if len(memory) == 5 && memory[4] > memory[1]*12/10+10 {
		t.Errorf("memory grows: %v MiB", memory)
	}
	if !testing.Short() && b > 15*a {
		t.Errorf("p99 of %d clients is %v, of 1,000 it was %v", n, b, a)
	}
}

// TestFairness lets a database with 1,000 waiting clients and one that wants less than its share have one node: the second is served as if
// it were alone. And of 2,000 clients at 40 connections none waits much longer than the others.
func TestFairness(t *testing.T) {
	server := pgcluster.Start(t, pgcluster.Options{}).Primary
	server.Exec(t, "create database loud", "create database quiet")
	proxy := StartProxy(t, server, Options{MaxConnections: 40, Node: "max_connections = 40\n"})
	length := full(10*time.Second, 2*time.Second)
	quiet := func() time.Duration {
		return percentile(crowd(t, proxy.Addr(), "quiet", 5, "SELECT pg_sleep(0.01)", 5*time.Millisecond, length), 0.99)
	}
	var ratios []float64
	for range full(9, 1) {
		alone := quiet()
		var beside time.Duration
		var both sync.WaitGroup
		both.Go(func() {
			crowd(t, proxy.Addr(), "loud", 1000, "SELECT pg_sleep(0.02)", 0, length+full(5*time.Second, 3*time.Second))
		})
		Within(t, patience, "the others wait", func() bool {
			return server.Query(t, "select count(*) > 20 from pg_stat_activity where datname = 'loud'")[0][0] == "t"
		})
		both.Go(func() { beside = quiet() })
		both.Wait()
		ratios = append(ratios, float64(beside)/float64(alone))
	}
	slices.Sort(ratios)
	t.Logf("p99 beside 1,000 others to alone: %.2f", ratios)
	if m := ratios[len(ratios)/2]; !testing.Short() && m > 1.2 {
		t.Errorf("the median of %.2f is %.2f", ratios, m)
	}
	all := crowd(t, proxy.Addr(), "quiet", 2000, "SELECT pg_sleep(0.005)", 0, length)
	m, most := percentile(all, 0.5), percentile(all, 1)
	t.Logf("2,000 clients at 40 connections: median %v, longest %v", m, most)
	if !testing.Short() && most > 3*m {
		t.Errorf("the longest wait is %v, the median %v", most, m)
	}
}
