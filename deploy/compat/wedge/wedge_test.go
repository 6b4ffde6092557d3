package wedge

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/heliosproxy/heliosproxy/pkg/testkit/pgcluster"
)

// TestPlanted puts two small relays before a server: one that copies both ways at once, and one that does what a proxy must not,
// write to one side while it does not read the other. The first is to pass, the second to be found.
func TestPlanted(t *testing.T) {
	server := pgcluster.Start(t, pgcluster.Options{}).Primary // it ends after the parallel subtests
	loads := []Load{Deaf{For: 300 * time.Millisecond}, Batches{}}
	for name, relay := range map[string]func(client, server net.Conn){"both ways": bothWays, "half duplex": halfDuplex} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			reports := Watch(t.Context(), loads, Target{DSN: relayed(t, server, relay)}, time.Second, Stuck)
			for _, r := range reports {
				wedged := r.Err != nil && strings.Contains(r.Err.Error(), "wedge: nothing has moved")
				switch {
				case name == "both ways" && r.Err != nil:
					t.Errorf("%s: %v", r.Load, r.Err)
				case name == "half duplex" && !wedged:
					t.Errorf("%s: the wedge is not found: %d answers, %v", r.Load, r.Answers, r.Err)
				}
			}
		})
	}
}

// TestFewAnswers checks that a load that does next to nothing is not taken for one that went well.
func TestFewAnswers(t *testing.T) {
	reports := Watch(t.Context(), []Load{idle{}}, Target{}, 0, time.Minute)
	if err := reports[0].Err; err == nil || !strings.Contains(err.Error(), "only 1 answers") {
		t.Errorf("got %v", err)
	}
}

type idle struct{}

func (idle) Name() string { return "idle" }

func (idle) Run(_ context.Context, _ Target, _ time.Duration, moved func(answers int)) error {
	moved(1)
	return nil
}

// relayed serves a relay for the length of a test and returns how to connect through it.
func relayed(t *testing.T, server *pgcluster.Server, relay func(client, server net.Conn)) string {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	go func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			upstream, err := net.Dial("tcp", server.Addr())
			if err != nil {
				client.Close()
				continue
			}
			go func() {
				defer client.Close()
				defer upstream.Close()
				relay(client, upstream)
			}()
		}
	}()
	return fmt.Sprintf("host=127.0.0.1 port=%d dbname=postgres user=postgres sslmode=disable", listener.Addr().(*net.TCPAddr).Port)
}

func bothWays(client, server net.Conn) {
	ended := make(chan struct{}, 2)
	for _, pair := range [][2]net.Conn{{client, server}, {server, client}} {
		go func() {
			defer func() { ended <- struct{}{} }()
			_ = forward(pair[0], pair[1])
		}()
	}
	<-ended
}

// halfDuplex hears the server only when the client has nothing more to say.
func halfDuplex(client, server net.Conn) {
	buffer := make([]byte, 1<<16)
	for {
		for _, pair := range [][2]net.Conn{{client, server}, {server, client}} {
			for {
				if err := pair[0].SetReadDeadline(time.Now().Add(5 * time.Millisecond)); err != nil {
					return
				}
				n, err := pair[0].Read(buffer)
				if errors.Is(err, os.ErrDeadlineExceeded) {
					break
				} else if err != nil {
					return
				}
				if _, err := pair[1].Write(buffer[:n]); err != nil {
					return
				}
			}
		}
	}
}

func forward(from, to net.Conn) error {
	buffer := make([]byte, 1<<16)
	for {
		n, err := from.Read(buffer)
		if err != nil {
			return err
		}
		if _, err := to.Write(buffer[:n]); err != nil {
			return err
		}
	}
}
