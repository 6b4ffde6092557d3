package servers

import (
	"io"
	"net"
	"sync"
	"testing"

	"github.com/heliosproxy/heliosproxy/dataplane/assembly"
	"github.com/heliosproxy/heliosproxy/dataplane/assembly/stage"
	"github.com/heliosproxy/heliosproxy/dataplane/state/meter"
	"github.com/heliosproxy/heliosproxy/pkg/pgwire"
	"github.com/heliosproxy/heliosproxy/pkg/testkit/pgscript"
	heliosv1 "github.com/heliosproxy/heliosproxy/proto/gen/go/helios/v1"
)

// relay passes packets on to an address, as edit leaves them, and answers back. It returns where it listens.
func relay(t *testing.T, to string, edit func(packet []byte)) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	all.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			all.Go(func() {
				defer c.Close()
				packet := make([]byte, 16)
				if _, err := io.ReadFull(c, packet); err != nil {
					return
				}
				edit(packet)
				s, err := net.Dial("tcp", to)
				if err != nil {
					return
				}
				defer s.Close()
				s.Write(packet)
				io.Copy(c, s)
			})
		}
	})
	t.Cleanup(func() { l.Close(); all.Wait() })
	return l.Addr().String()
}

// TestForwardedOnce has two proxies each of which takes the other for the one that has given a key out: it goes from one to the other, and no further. Where
// it is passed on as clients send it, it goes round until they do not take any more of it: the test would see that.
func TestForwardedOnce(t *testing.T) {
	t.Parallel()
	requests := func(edit func(packet []byte)) (n uint64) {
		var both [2]*assembly.Proxy
		var addrs [2]string
		for i := range both {
			both[i], addrs[i] = stage.Start(t, stage.ConfigAt("127.0.0.1:1", heliosv1.PoolMode_POOL_MODE_TRANSACTION, 1))
		}
		for i, p := range both {
			p.Meet(&heliosv1.Peers{YourNumber: uint32(i + 1), Peers: []*heliosv1.Peer{{Number: 9, NodeId: "nine", Address: relay(t, addrs[1-i], edit)}}})
		}
		c, err := net.Dial("tcp", addrs[0])
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		c.Write(pgscript.CancelRequest(1<<30|9<<16|1, []byte("1234")))
		if got, err := io.ReadAll(c); err != nil || len(got) > 0 {
			t.Errorf("the client is told %q, %v", got, err)
		}
		for _, p := range both {
			s := p.Metrics()
			for how, k := range s.Counted.Cancels.All {
				if n += k; k > 0 && how != meter.CancelUnknown.String() && how != meter.CancelLimited.String() && how != meter.CancelPeerFailed.String() {
					t.Errorf("%d were %s", k, how)
				}
			}
		}
		return n
	}
	if n := requests(func([]byte) {}); n != 2 {
		t.Errorf("two proxies have got %d requests", n)
	}
	if n := requests(func(packet []byte) {
		copy(packet[4:8], pgwire.AppendCancel(nil, 0, nil)[4:8])
	}); n <= 2 {
		t.Errorf("a request that is passed on again was got %d times: nobody would see it", n)
	}
}
