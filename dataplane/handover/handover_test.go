package handover

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	heliosv1 "github.com/heliosproxy/heliosproxy/proto/gen/go/helios/v1"
)

// house is an old process that writes down what it is told. It has one place.
type house struct {
	estate *heliosv1.Estate
	fds    []int

	mu    sync.Mutex
	said  []string
	to    *Successor
	wants []func()
	heard chan struct{}
}

func newHouse() *house {
	return &house{estate: &heliosv1.Estate{Version: "1", Pid: 4711}, heard: make(chan struct{}, 1000)}
}

func (h *house) note(format string, args ...any) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.said = append(h.said, fmt.Sprintf(format, args...))
	h.heard <- struct{}{}
}

// until waits until the house was told something.
func (h *house) until(t *testing.T, what string) {
	t.Helper()
	for end := time.After(10 * time.Second); ; {
		h.mu.Lock()
		all := strings.Join(h.said, ", ")
		h.mu.Unlock()
		if strings.Contains(all, what) {
			return
		}
		select {
		case <-h.heard:
		case <-end:
			t.Fatalf("the old process was told %q, not %q", all, what)
		}
	}
}

func (h *house) Estate() (*heliosv1.Estate, []int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.estate, h.fds
}

func (h *house) Give(to *Successor)               { h.to = to; h.note("give") }
func (h *house) Return(p *heliosv1.PoolName)      { h.note("return %s", p.GetUser()) }
func (h *house) Cancel(pid uint32, secret []byte) { h.note("cancel %d %s", pid, secret) }
func (h *house) Taken(id uint64)                  { h.note("taken %d", id) }
func (h *house) Stay(why error)                   { h.note("stay %v", why != nil) }
func (h *house) Place(p *heliosv1.PoolName, granted func()) {
	h.mu.Lock()
	h.wants = append(h.wants, granted)
	h.mu.Unlock()
	h.note("place %s/%s/%s", p.GetNode(), p.GetDatabase(), p.GetUser())
}

// grant grants the place that was asked for first.
func (h *house) grant() {
	h.mu.Lock()
	f := h.wants[0]
	h.wants = h.wants[1:]
	h.mu.Unlock()
	f()
}

// heir is a new process.
type heir struct {
	taken chan *os.File
	alone chan error
	// needed are the users of pools of which a place is asked back.
	needed chan string
}

func (h *heir) Take(s *heliosv1.CarriedSession, fds []int) {
	for _, fd := range fds {
		h.taken <- os.NewFile(uintptr(fd), s.GetUser())
	}
}
func (h *heir) Needed(p *heliosv1.PoolName) { h.needed <- p.GetUser() }
func (h *heir) Alone(why error)             { h.alone <- why }

// open lets h be succeeded.
func open(t *testing.T, h House) string {
	path := filepath.Join(t.TempDir(), "s")
	l, err := Listen(path, false)
	if err != nil {
		t.Fatal(err)
	}
	if st, err := os.Stat(path); err != nil || st.Mode().Perm() != 0o600 {
		t.Errorf("the socket is %v, %v", st.Mode(), err)
	}
	ctx, stop := context.WithCancel(context.Background())
	t.Cleanup(stop)
	go Serve(ctx, l, h)
	return path
}

// TestHandover hands over a socket, sessions with their descriptors and places, and is done.
func TestHandover(t *testing.T) {
	h := newHouse()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	file, err := l.(*net.TCPListener).File()
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	h.estate.Sockets, h.fds = []*heliosv1.ListeningSocket{{Name: "main"}}, []int{int(file.Fd())}
	path := open(t, h)
	if _, err := Listen(path, false); err == nil || !strings.Contains(err.Error(), "another process answers") {
		t.Errorf("a second one listens there too: %v", err)
	}

	p, err := Meet(path)
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	if len(p.Sockets) != 1 || p.PID != 4711 {
		t.Fatalf("met %+v", p)
	}
	for fd, name := range p.Sockets {
		f := os.NewFile(uintptr(fd), name)
		got, err := net.FileListener(f)
		f.Close()
		if err != nil || name != "main" || got.Addr().String() != l.Addr().String() {
			t.Errorf("socket %s: %v, %v", name, got, err)
		}
	}
	e := &heir{make(chan *os.File), make(chan error), make(chan string)}
	p.Read(e)
	granted := make(chan string, 9)
	p.Ask("n", "d", "u", func() { granted <- "first" })
	h.until(t, "place n/d/u")
	h.grant()
	if got := <-granted; got != "first" {
		t.Errorf("granted %s", got)
	}
	p.Return("n", "d", "other") // was never granted
	p.Return("n", "d", "u")
	p.Return("n", "d", "u") // is returned already
	p.Cancel(7, []byte("key"))
	h.until(t, "return u, cancel 7 key")
	if err := p.Ready(); err != nil {
		t.Fatal(err)
	}
	h.until(t, "give")
	for i := range 300 { // more than descriptors go in one message
		r, w, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		user := strings.Repeat("x", i*100)
		h.to.Session(&heliosv1.CarriedSession{Id: uint64(i), User: user}, int(w.Fd()))
		got := <-e.taken
		w.Close()
		fmt.Fprint(got, i)
		name := got.Name()
		got.Close()
		if text, err := io.ReadAll(r); string(text) != fmt.Sprint(i) || name != user || err != nil {
			t.Fatalf("session %d came with another's descriptor: %q, %v", i, text, err)
		}
		r.Close()
	}
	h.until(t, "taken 299")

	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	with := &heliosv1.CarriedSession{Id: 300, Server: &heliosv1.CarriedServer{Pool: &heliosv1.PoolName{Node: "n", Database: "d", User: "carried"}}}
	if !h.to.Understands(with) {
		t.Error("a process of this version does not understand all")
	}
	h.to.Session(with, int(r.Fd()), int(w.Fd()))
	client, server := <-e.taken, <-e.taken
	r.Close()
	w.Close()
	fmt.Fprint(server, "in this order")
	server.Close()
	if text, err := io.ReadAll(client); string(text) != "in this order" {
		t.Errorf("of two descriptors the first reads %q, %v", text, err)
	}
	client.Close()
	p.Return("n", "d", "carried") // its place came with it
	h.until(t, "taken 300, return carried")
	h.to.Needed(&heliosv1.PoolName{User: "needy"})
	if got := <-e.needed; got != "needy" {
		t.Errorf("a place is asked back of %s", got)
	}
	p.Ask("n", "d", "u", func() { granted <- "second" })
	if err := h.to.Done(); err != nil {
		t.Fatal(err)
	}
	if why := <-e.alone; why != nil {
		t.Errorf("done: %v", why)
	}
	if got := <-granted; got != "second" {
		t.Error("who waits when all is handed over is not granted")
	}
	p.Ask("n", "d", "u", func() { granted <- "third" })
	if got := <-granted; got != "third" {
		t.Error("behind the end somebody waits for a place")
	}
	h.until(t, "taken 299")
}

// TestOlder gives a process of an older version nothing that it would lose.
func TestOlder(t *testing.T) {
	effects := &heliosv1.CarriedStatement{Effects: &heliosv1.CarriedEffects{}}
	for name, c := range map[string]*heliosv1.CarriedSession{
		"a server connection":     {Server: &heliosv1.CarriedServer{}},
		"something to listen to":  {Listening: &heliosv1.CarriedListening{}},
		"a statement in disguise": {Statements: []*heliosv1.CarriedStatement{{}, effects}},
		"an unnamed one":          {Unnamed: effects},
	} {
		if (&Successor{}).Understands(c) || !(&Successor{understands: understands}).Understands(c) {
			t.Errorf("%s: who understands it is not known", name)
		}
	}
	if !(&Successor{}).Understands(&heliosv1.CarriedSession{Statements: []*heliosv1.CarriedStatement{{}}}) {
		t.Error("an older version understands nothing")
	}
}

// TestGoneAway tells each side that the other has gone, and lets the next one try.
func TestGoneAway(t *testing.T) {
	h := newHouse()
	path := open(t, h)
	for _, ready := range []bool{false, true} {
		p, err := Meet(path)
		if err != nil {
			t.Fatal(err)
		}
		e := &heir{make(chan *os.File), make(chan error, 1), nil}
		p.Read(e)
		if ready {
			if err := p.Ready(); err != nil {
				t.Fatal(err)
			}
			h.until(t, "give")
		}
		p.Close()
		if why := <-e.alone; why == nil {
			t.Error("the new process does not know that the link is gone")
		}
		h.until(t, fmt.Sprintf("stay %v", ready))
	}
	h.mu.Lock()
	h.estate = &heliosv1.Estate{Refusal: "it is about to end"}
	h.mu.Unlock()
	if _, err := Meet(path); err == nil || !strings.HasSuffix(err.Error(), "it is about to end") {
		t.Errorf("refused: %v", err)
	}
	if _, err := Meet(filepath.Join(t.TempDir(), "none")); err == nil || !strings.Contains(err.Error(), "take the place of a running proxy") {
		t.Errorf("nobody there: %v", err)
	}
}

// TestNoise lets whoever says something else go, and serves the next one.
func TestNoise(t *testing.T) {
	h := newHouse()
	path := open(t, h)
	for _, noise := range []string{"", "\x00\x00\x00\x05abc", "\xff\xff\xff\xffx", "\x00\x00\x00\x03\xff\xff\xff", "GET / HTTP/1.1\r\n\r\n"} {
		c, err := net.Dial("unix", path)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprint(c, noise)
		if noise == "GET / HTTP/1.1\r\n\r\n" { // a length of more than anything has
			_, _ = io.ReadAll(c)
		}
		c.Close()
	}
	p, err := Meet(path)
	if err != nil {
		t.Fatal(err)
	}
	p.Close()
	h.until(t, "stay false")
}
