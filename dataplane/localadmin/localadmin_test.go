package localadmin

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"
)

// readiness is the reason for not being ready, if any.
type readiness string

func (r readiness) Readiness() (bool, string) {
	if r == "" {
		return true, "ready"
	}
	return false, string(r)
}

func options(token string, r Readiness) Options {
	return Options{
		Address: "127.0.0.1:0", Token: token, Ready: r, Log: zap.NewNop(),
		Metrics: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "counted") }),
	}
}

func TestHandler(t *testing.T) {
	const (
		unauthorized = `{"error":"missing or invalid admin bearer token"}`
		nothing      = `{"error":"there is nothing at /x"}`
	)
	for _, tt := range []struct {
		token, request, authorization string
		notReady                      readiness
		status                        int
		want                          string
	}{
		{"", "GET /livez", "", "no node was reached", 200, `{"alive":true}`},
		{"", "GET /readyz", "", "", 200, `{"message":"ready","ready":true}`},
		{"", "GET /readyz", "", "no node was reached", 503, `{"message":"no node was reached","ready":false}`},
		{"", "GET /metrics", "", "", 200, `counted`},
		{"", "GET /x", "", "", 404, nothing},
		{"", "POST /livez", "", "", 405, `{"error":"POST is not allowed"}`},
		{"", "DELETE /metrics", "", "", 405, `{"error":"DELETE is not allowed"}`},
		{"t", "GET /livez", "", "", 200, `{"alive":true}`},
		{"t", "GET /readyz", "Bearer wrong", "", 200, `{"message":"ready","ready":true}`},
		{"t", "GET /metrics", "Bearer t", "", 200, `counted`},
		{"t", "GET /metrics", "bearer t", "", 200, `counted`},
		{"t", "GET /metrics", "", "", 401, unauthorized},
		{"t", "GET /metrics", "t", "", 401, unauthorized},
		{"t", "GET /metrics", "Basic t", "", 401, unauthorized},
		{"t", "GET /metrics", "Bearer ", "", 401, unauthorized},
		{"t", "GET /metrics", "Bearer tt", "", 401, unauthorized},
		{"t", "GET /x", "", "", 401, unauthorized},
		{"t", "GET /x", "Bearer t", "", 404, nothing},
		{"t", "GET /livez/../metrics", "", "", 307, ""},
	} {
		t.Run(tt.request+" "+tt.authorization, func(t *testing.T) {
			method, path, _ := strings.Cut(tt.request, " ")
			r := httptest.NewRequest(method, path, nil)
			r.Header.Set("Authorization", tt.authorization)
			w := httptest.NewRecorder()
			Handler(options(tt.token, tt.notReady)).ServeHTTP(w, r)
			if got := strings.TrimSpace(w.Body.String()); w.Code != tt.status || tt.want != "" && got != tt.want {
				t.Errorf("got %d %s, want %d %s", w.Code, got, tt.status, tt.want)
			}
		})
	}
}

func TestServer(t *testing.T) {
	s, err := Start(options("", readiness("")))
	if err != nil {
		t.Fatal(err)
	}
	url := "http://" + s.Address().String()
	r, err := http.Get(url + "/livez")
	if err != nil || r.StatusCode != http.StatusOK {
		t.Fatalf("got %v, %v", r, err)
	}
	r.Body.Close()

	taken := options("", readiness(""))
	taken.Address = s.Address().String()
	if _, err := Start(taken); err == nil || !strings.HasPrefix(err.Error(), "admin server: ") || !strings.Contains(err.Error(), taken.Address) {
		t.Errorf("the address is taken, got %v", err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if _, err := http.Get(url + "/livez"); err == nil {
		t.Error("answered after Close")
	}
}

// TestServerBounds: long headers are refused, and connections that say nothing have timeouts.
func TestServerBounds(t *testing.T) {
	s, err := Start(options("", readiness("")))
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	r, err := http.NewRequest(http.MethodGet, "http://"+s.Address().String()+"/livez", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("X-Long", strings.Repeat("x", 2*maxHeader))
	got, err := http.DefaultClient.Do(r)
	if err != nil || got.StatusCode != http.StatusRequestHeaderFieldsTooLarge {
		t.Errorf("got %v, %v", got, err)
	}
	if h := &s.http; h.ReadHeaderTimeout == 0 || h.ReadTimeout == 0 || h.WriteTimeout == 0 || h.IdleTimeout == 0 {
		t.Error("a timeout is missing")
	}
}

// TestLimit: the connection after the last place is served when one becomes free, and Close ends the wait.
func TestLimit(t *testing.T) {
	inner, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ln := limit(inner, 1)
	h := http.Server{Handler: Handler(options("", readiness("")))}
	served := make(chan error, 1)
	go func() { served <- h.Serve(ln) }()

	ask := func() (net.Conn, *bufio.Reader) {
		c, err := net.Dial("tcp", inner.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(c, "GET /livez HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
		return c, bufio.NewReader(c)
	}
	answered := func(r *bufio.Reader) {
		t.Helper()
		a, err := http.ReadResponse(r, nil)
		if err != nil {
			t.Fatal(err)
		}
		a.Body.Close()
	}
	first, r1 := ask()
	answered(r1) // and the connection stays open
	second, r2 := ask()
	defer second.Close()
	if err := second.SetReadDeadline(time.Now().Add(100 * time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	if b, err := r2.Peek(1); err == nil {
		t.Errorf("got %q while the only place is taken", b)
	}
	if err := second.SetReadDeadline(time.Time{}); err != nil {
		t.Fatal(err)
	}
	first.Close()
	answered(r2)

	if err := h.Shutdown(t.Context()); err != nil && err != t.Context().Err() {
		t.Error(err)
	}
	if err := <-served; err != http.ErrServerClosed {
		t.Errorf("Serve: %v", err)
	}
}
