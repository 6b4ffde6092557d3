package assembly_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/heliosproxy/heliosproxy/dataplane/assembly/stage"
	"github.com/heliosproxy/heliosproxy/pkg/testkit/pgscript"
	heliosv1 "github.com/heliosproxy/heliosproxy/proto/gen/go/helios/v1"
)

// island is a network namespace with a cable to this one.
type island struct {
	here, there string // addresses of the ends of the cable
	name        string
}

// newIsland makes one for the length of the test, which is skipped where that is not allowed.
func newIsland(t *testing.T) *island {
	t.Helper()
	id := fmt.Sprintf("%x", os.Getpid()&0xffff)
	n := os.Getpid() & 0x3fff
	net24 := fmt.Sprintf("10.%d.%d", 192+n>>8, n&0xff)
	is := &island{here: net24 + ".1", there: net24 + ".2", name: "helios" + id}
	run := func(args ...string) error {
		out, err := exec.Command("ip", args...).CombinedOutput()
		if err != nil {
			return fmt.Errorf("ip %v: %w: %s", args, err, out)
		}
		return nil
	}
	for i, args := range [][]string{
		{"netns", "add", is.name},
		{"link", "add", "hel" + id, "type", "veth", "peer", "name", "h0", "netns", is.name},
		{"addr", "add", is.here + "/24", "dev", "hel" + id},
		{"link", "set", "hel" + id, "up"},
		{"-n", is.name, "link", "set", "lo", "up"},
		{"-n", is.name, "addr", "add", is.there + "/24", "dev", "h0"},
		{"-n", is.name, "link", "set", "h0", "up"},
	} {
		err := run(args...)
		if i == 0 && err == nil {
			t.Cleanup(func() { _ = run("netns", "delete", is.name) })
		}
		if err != nil {
			t.Skipf("no network namespace can be made here: %v", err)
		}
	}
	return is
}

// cut cuts the cable: nobody is told.
func (is *island) cut(t *testing.T) {
	t.Helper()
	if out, err := exec.Command("ip", "-n", is.name, "link", "set", "h0", "down").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
}

// islander is what tells this program that it runs on the island, and at which address it has a server there.
const islander = "HELIOS_ISLANDER"

// TestIslander is what runs there: a server that never answers what is asked for ever, and a client in a transaction, at the address
// that it reads.
func TestIslander(t *testing.T) {
	at := os.Getenv(islander)
	if at == "" {
		t.Skip("runs in a network namespace, for TestVanishedPeers")
	}
	srv := pgscript.Serve(t, func(c *pgscript.Conn) error {
		if _, err := c.Welcome(1, []byte("1234")); err != nil {
			return err
		}
		for {
			m, err := c.Receive()
			if err != nil {
				return nil
			}
			if m.Type == 'Q' && !strings.Contains(string(m.Body), "forever") {
				if err := c.Send(pgscript.CommandComplete("BEGIN"), pgscript.ReadyForQuery('T')); err != nil {
					return nil
				}
			}
		}
	})
	ln, err := net.Listen("tcp", at)
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		for {
			in, err := ln.Accept()
			if err != nil {
				return
			}
			out, err := net.Dial("tcp", srv.Addr())
			if err != nil {
				return
			}
			go func() { io.Copy(out, in); out.Close() }()
			go func() { io.Copy(in, out); in.Close() }()
		}
	}()
	fmt.Println("listens")
	lines := bufio.NewScanner(os.Stdin)
	lines.Scan()
	c, err := stage.TryConnect(lines.Text(), "postgres")
	if err != nil {
		t.Fatal(err)
	}
	fmt.Println("begins" + stage.Ask(c, "BEGIN"))
	lines.Scan() // until it is killed
}

// people starts it, and returns how it is spoken to.
func (is *island) people(t *testing.T) (hear func(want string), say func(string)) {
	t.Helper()
	c := exec.Command("ip", "netns", "exec", is.name, os.Args[0], "-test.run=^TestIslander$")
	c.Env = append(os.Environ(), islander+"="+is.there+":5432")
	in, err := c.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = c.Process.Kill()
		_ = c.Wait()
	})
	lines := bufio.NewScanner(out)
	hear = func(want string) {
		t.Helper()
		for lines.Scan() {
			if lines.Text() == want {
				return
			}
			t.Log(lines.Text())
		}
		t.Fatalf("not heard: %s", want)
	}
	return hear, func(s string) { fmt.Fprintln(in, s) }
}

// TestVanishedPeers has a server and a client that vanish in mid-query, without a word: both are noticed within the user timeout, and
// who waits for the server is told.
func TestVanishedPeers(t *testing.T) {
	t.Parallel()
	is := newIsland(t)
	hear, say := is.people(t)
	hear("listens")
	const within = 600 * time.Millisecond
	set := stage.ConfigAt(is.there+":5432", heliosv1.PoolMode_POOL_MODE_TRANSACTION, 2)
	set.Listeners["main"].Address = is.here + ":0"
	set.PoolProfiles["default"].LeakGuard = heliosv1.LeakGuard_LEAK_GUARD_TEXT
	set.Limits["default"].ClientWriteTimeout, set.Limits["default"].ServerWriteTimeout = durationpb.New(within), durationpb.New(within)
	p, addr := stage.Start(t, set)
	waits, err := stage.From(is.here, addr, "postgres", "postgres", "")
	if err != nil {
		t.Fatal(err)
	}
	defer waits.Close(context.Background())
	say(addr)
	hear("begins")
	told := make(chan string, 1)
	go func() { told <- stage.Ask(waits, "SELECT forever") }()
	stage.Eventually(t, 15*time.Second, "it runs", func() bool { q, _ := p.Count(); return q == 2 })
	<-time.After(50 * time.Millisecond) // all is acknowledged
	is.cut(t)
	cut := time.Now()
	const why = "08006 server closed the connection unexpectedly; whether the statement was carried out is not known"
	select {
	case got := <-told:
		if got != why {
			t.Errorf("who waits is told %q", got)
		}
	case <-time.After(5 * time.Second):
		t.Fatal("the server is not missed")
	}
	stage.Eventually(t, 15*time.Second, "the client is missed", func() bool { return p.Group().Loops()[0].Load() <= 0 })
	if took := time.Since(cut); took > within+2*time.Second { // the kernel asks in whole seconds
		t.Errorf("noticed after %s", took)
	}
}
