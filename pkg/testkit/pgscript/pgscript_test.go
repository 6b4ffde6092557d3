package pgscript

import (
	"errors"
	"net"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/heliosproxy/heliosproxy/pkg/testkit/pgcluster"
)

func postgres(t *testing.T) *pgcluster.Server {
	return pgcluster.Start(t, pgcluster.Options{HBA: []string{
		"host all postgres all trust",
		"host all clear all password",
		"host all hashed all md5",
		"host all scrammed all scram-sha-256",
	}}).Primary
}

func TestClientAgainstPostgreSQL(t *testing.T) {
	t.Parallel()
	server := postgres(t)
	server.Exec(t, "create table t(a int)")
	unit := [][]byte{Parse("s", "select $1::int as id", 23), Bind("", "s", "7"), DescribePortal(""), Execute("", 0), Sync()}
	tests := []struct {
		name    string
		packets [][]byte
		want    string
	}{
		{"simple", [][]byte{Query("select 1 as id, null as n")}, "T id:23 n:25; D 1 | NULL; C SELECT 1; Z I"},
		{"error", [][]byte{Query("select * from missing")}, `E 42P01 relation "missing" does not exist; Z I`},
		{"empty", [][]byte{Query("")}, "I; Z I"},
		{"extended", unit, "1; 2; T id:23; D 7; C SELECT 1; Z I"},
		{"extended in single bytes", append(Split(1, CloseStatement("s"), Parse("s", "select 1")), Sync()), "3; 1; Z I"},
		{"describe", [][]byte{Parse("d", "select $1::text", 25), DescribeStatement("d"), Sync()}, "1; t 25; T text:25; Z I"},
		{
			"copy",
			[][]byte{Query("copy t from stdin"), CopyData("1\n2\n"), CopyDone()},
			"G 1; C COPY 2; Z I",
		},
		{"copy fails", [][]byte{Query("copy t from stdin"), CopyFail("why not")}, "G 1; E 57014 COPY from stdin failed: why not; Z I"},
		{"copy out", [][]byte{Query("copy t to stdout")}, `H 1; d "1\n"; d "2\n"; c; C COPY 2; Z I`},
		{"limit", [][]byte{Parse("", "select a from t"), Bind("p", ""), Execute("p", 1), ClosePortal("p"), Sync()}, "1; 2; D 1; s; 3; Z I"},
		{"begin", [][]byte{Query("begin")}, "C BEGIN; Z T"},
		{"setting", [][]byte{Query("set application_name = 'x'")}, "C SET; S application_name=x; Z T"},
		{"failed", [][]byte{Query("select 1/0")}, "E 22012 division by zero; S application_name=; Z E"},
		{"rollback", [][]byte{Query("rollback")}, "C ROLLBACK; Z I"},
		{"notice", [][]byte{Query("do $$ begin raise notice 'hey'; end $$")}, "N 00000 hey; C DO; Z I"},
		{"notify", [][]byte{Query("listen c"), Query("notify c, 'p'")}, "C LISTEN; Z I"},
	}
	c := Dial(t, "tcp", server.Addr())
	c.Login(Login{User: "postgres", Database: "postgres"})
	for _, tt := range tests {
		c.SendPackets(tt.packets...)
		if got := strings.Join(c.Ready(), "; "); got != tt.want {
			t.Errorf("%s:\n got %s\nwant %s", tt.name, got, tt.want)
		}
	}
	c.Expect("C NOTIFY", "A c p", "Z I")
	c.Send(Terminate())
	c.ExpectEOF()
}

func TestLogin(t *testing.T) {
	t.Parallel()
	server := postgres(t)
	server.CreateRole(t, "clear", "sesame", "scram-sha-256")
	server.CreateRole(t, "hashed", "sesame", "md5")
	server.CreateRole(t, "scrammed", "sesame", "scram-sha-256")
	for _, user := range []string{"postgres", "clear", "hashed", "scrammed"} {
		for _, version := range []uint32{Version30, Version32} {
			c := Dial(t, "tcp", server.Addr())
			c.Send(SSLRequest())
			c.ExpectByte('N')
			s := c.Login(Login{User: user, Database: "postgres", Password: "sesame", Version: version, Params: []string{"TimeZone", "Asia/Tokyo"}})
			if s.PID == 0 || len(s.Secret) < 4 || s.Params["TimeZone"] != "Asia/Tokyo" || s.Params["session_authorization"] != user {
				t.Errorf("%s: session %+v", user, s)
			}
		}
		if user == "postgres" {
			continue
		}
		var refusal *Refusal
		if _, err := Dial(t, "tcp", server.Addr()).TryLogin(Login{User: user, Database: "postgres", Password: "wrong"}); !errors.As(err, &refusal) || refusal.Field('C') != "28P01" {
			t.Errorf("%s with a wrong password: %v", user, err)
		}
	}
}

func TestCancel(t *testing.T) {
	t.Parallel()
	server := postgres(t)
	c := Dial(t, "tcp", server.Addr())
	s := c.Login(Login{User: "postgres", Database: "postgres"})
	c.Send(Query("do $$ begin raise notice 'it runs'; perform pg_sleep(3600); end $$"))
	c.Until("N")
	canceller := Dial(t, "tcp", server.Addr())
	canceller.Send(CancelRequest(s.PID, s.Secret))
	canceller.ExpectEOF()
	got := c.Ready()
	if want := "E 57014 canceling statement due to user request"; !slices.Contains(got, want) {
		t.Errorf("got %v, want %s", got, want)
	}
}

func TestServerAgainstPGX(t *testing.T) {
	t.Parallel()
	server := Serve(t, func(c *Conn) error {
		m, err := c.Welcome(7, []byte{1, 2, 3, 4})
		if err != nil {
			return err
		}
		if got := m.Frontend(); !strings.HasPrefix(got, "Startup 3.0 ") || !strings.Contains(got, "user=u") {
			t.Errorf("opening is %q", got)
		}
		if err := c.Expect("Q select 1"); err != nil {
			return err
		}
		err = c.Send(NoticeResponse("NOTICE", "00000", "hi"), RowDescription(Column{"id", 23}), DataRow("42"), CommandComplete("SELECT 1"), ReadyForQuery('I'))
		if err != nil {
			return err
		}
		if err := c.Expect("Q boom"); err != nil {
			return err
		}
		if err := c.Send(ErrorResponse("ERROR", "XX000", "no"), ReadyForQuery('I')); err != nil {
			return err
		}
		if err := c.Expect("X"); err != nil {
			return err
		}
		return c.ExpectEOF()
	})
	host, port, _ := net.SplitHostPort(server.Addr())
	conn, err := pgx.Connect(t.Context(), "host="+host+" port="+port+" user=u dbname=d sslmode=disable default_query_exec_mode=simple_protocol")
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	if conn.PgConn().PID() != 7 {
		t.Errorf("pid is %d", conn.PgConn().PID())
	}
	var id int
	if err := conn.QueryRow(t.Context(), "select 1").Scan(&id); err != nil || id != 42 {
		t.Errorf("got %d, %v", id, err)
	}
	if _, err := conn.Exec(t.Context(), "boom"); err == nil || !strings.Contains(err.Error(), "XX000") {
		t.Errorf("got %v", err)
	}
}

// messages is one of each kind, and how it reads.
func messages() map[string][]byte {
	return map[string][]byte{
		"R 0":                              Auth(0),
		"R 10":                             AuthSASL("SCRAM-SHA-256"),
		"K":                                BackendKeyData(1, []byte{1, 2, 3, 4}),
		"v 3.0 _pq_.x _pq_.y":              NegotiateProtocolVersion(0, "_pq_.x", "_pq_.y"),
		"T a:23 b:25":                      RowDescription(Column{"a", 23}, Column{"b", 25}),
		"t 23 25":                          ParameterDescription(23, 25),
		"D a | b":                          DataRow("a", "b"),
		"A ch payload":                     NotificationResponse(1, "ch", "payload"),
		"G 2":                              CopyInResponse(2),
		"H 3":                              CopyOutResponse(3),
		"E 42P01 no":                       ErrorResponse("ERROR", "42P01", "no"),
		"1":                                ParseComplete(),
		"2":                                BindComplete(),
		"3":                                CloseComplete(),
		"n":                                NoData(),
		"I":                                EmptyQueryResponse(),
		"s":                                PortalSuspended(),
		"frontend P s \"q\" 23":            Parse("s", "q", 23),
		"frontend B p s 1 | 2":             Bind("p", "s", "1", "2"),
		"frontend B p s 1 | NULL":          BindFormats("p", "s", []int{1, 0}, [][]byte{[]byte("1"), nil}, []int{1}),
		"frontend F 1598 1 | NULL":         FunctionCall(1598, []int{0}, [][]byte{[]byte("1"), nil}, 1),
		"frontend D P x":                   DescribePortal("x"),
		"frontend E p 5":                   Execute("p", 5),
		"frontend C S x":                   CloseStatement("x"),
		"frontend H":                       Flush(),
		"frontend p secret":                Password("secret"),
		"frontend p SCRAM-SHA-256":         SASLInitial("SCRAM-SHA-256", "data"),
		"frontend f why":                   CopyFail("why"),
		"frontend d \"x\\n\"":              CopyData("x\n"),
		"opening SSLRequest":               SSLRequest(),
		"opening GSSENCRequest":            GSSENCRequest(),
		"opening CancelRequest 5 ff00ff00": CancelRequest(5, []byte{255, 0, 255, 0}),
		"opening Startup 3.2 user=u":       Startup(Version32, "user", "u"),
	}
}

func TestRender(t *testing.T) {
	for want, raw := range messages() {
		m, got := Message{Body: raw[4:]}, ""
		if side, _, _ := strings.Cut(want, " "); side == "opening" {
			got = "opening " + m.Frontend()
		} else {
			m = Message{Type: raw[0], Body: raw[5:]}
			if got = m.Backend(); side == "frontend" {
				got = "frontend " + m.Frontend()
			}
		}
		if got != want {
			t.Errorf("got %q, want %q", got, want)
		}
		for n := range m.Body { // cut anywhere: rendered as something
			short := Message{Type: m.Type, Body: m.Body[:n]}
			_, _ = short.Backend(), short.Frontend()
		}
	}
}

// TestExpectFinds plants what the scripted sides must find.
func TestExpectFinds(t *testing.T) {
	ours, theirs := net.Pipe()
	defer ours.Close()
	go func() {
		defer theirs.Close()
		_, _ = theirs.Write(slices.Concat(Sync(), Frame('Q', []byte("q\x00"))[:3]))
	}()
	c := &Conn{Conn: ours}
	if err := c.Expect("H"); err == nil {
		t.Error("a wrong message was taken")
	}
	if _, err := c.Receive(); err == nil || !strings.Contains(err.Error(), "EOF") {
		t.Errorf("half a header: %v", err)
	}
	scram := scramClient{password: "x"}
	if _, err := scram.final("r=pgscriptX,s=AAAA,i=1"); err != nil {
		t.Error(err)
	}
	if err := scram.verify("v=AAAA"); err == nil {
		t.Error("a server without the secret was believed")
	}
}
