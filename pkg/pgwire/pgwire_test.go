package pgwire

import (
	"strings"
	"testing"

	"github.com/heliosproxy/heliosproxy/pkg/pgerr"
	"github.com/heliosproxy/heliosproxy/pkg/testkit/pgscript"
)

// TestBuilders compares each builder with the test kit's, which shares nothing with it, behind bytes that are there already.
func TestBuilders(t *testing.T) {
	long := strings.Repeat("x", 300)
	for _, c := range []struct {
		name      string
		got, want []byte
	}{
		{"Query", AppendQuery([]byte("ab"), "SELECT 1"), pgscript.Query("SELECT 1")},
		{"Sync", AppendSync([]byte("ab")), pgscript.Sync()},
		{"ReadyForQuery", AppendReady([]byte("ab"), InFailed), pgscript.ReadyForQuery('E')},
		{"Describe", AppendNamed([]byte("ab"), Describe, 'S', "s"), pgscript.DescribeStatement("s")},
		{"Close", AppendNamed([]byte("ab"), Close, 'P', long), pgscript.ClosePortal(long)},
		{"Parse", AppendParse([]byte("ab"), "s", []byte("SELECT 1\x00\x00\x00")), pgscript.Parse("s", "SELECT 1")},
		{"Bind", AppendBind([]byte("ab"), "p", "s"), pgscript.Bind("p", "s")},
		{"Execute", AppendExecute([]byte("ab"), "p"), pgscript.Execute("p", 0)},
		{"ParameterStatus", AppendParameterStatus([]byte("ab"), "TimeZone", "UTC"), pgscript.ParameterStatus("TimeZone", "UTC")},
		{"CommandComplete", AppendTag([]byte("ab"), "SELECT 1"), pgscript.CommandComplete("SELECT 1")},
		{"Authentication", AppendAuthentication([]byte("ab"), AuthMD5, []byte("salt")), pgscript.Auth(5, []byte("salt"))},
		{"BackendKeyData", AppendKey([]byte("ab"), 7, []byte("secret")), pgscript.BackendKeyData(7, []byte("secret"))},
		{"NegotiateProtocolVersion", AppendNegotiate([]byte("ab"), Version32, []string{"_pq_.a", "_pq_.b"}), pgscript.NegotiateProtocolVersion(Version32, "_pq_.a", "_pq_.b")},
		{"CancelRequest", AppendCancel([]byte("ab"), 7, []byte("1234")), pgscript.CancelRequest(7, []byte("1234"))},
		{"StartupMessage", AppendStartup([]byte("ab"), Parameter{"user", "ann"}), pgscript.Startup(Version30, "user", "ann")},
		{"any", Append([]byte("ab"), CopyData, []byte("row")), pgscript.CopyData("row")},
	} {
		if string(c.got) != "ab"+string(c.want) {
			t.Errorf("%s:\n got %q\nwant %q", c.name, c.got, "ab"+string(c.want))
		}
	}
}

// TestErrors shows the fields that a client is told.
func TestErrors(t *testing.T) {
	got := string(AppendError(nil, pgerr.New(pgerr.UnknownDatabase, "shop")))
	for _, want := range []string{"SFATAL\x00", "VFATAL\x00", "C3D000\x00", "Mdatabase \"shop\" is not known to the proxy\x00", "HAdd it to [[databases]], or to [databases] of a pgbouncer.ini.\x00"} {
		if !strings.Contains(got, want) {
			t.Errorf("%q is not in %q", want, got)
		}
	}
}

// TestWithHint tells on what a server said, with another hint.
func TestWithHint(t *testing.T) {
	e, err := ReadError(AppendError(nil, pgerr.New(pgerr.UnknownDatabase, "shop"))[HeaderSize:])
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range []*ServerError{e, {Severity: "ERROR", SQLState: "3D000", Message: e.Message, Body: []byte("nothing")}} {
		got := string(AppendServerError(nil, e.WithHint("Go home."), pgerr.Failure))
		for _, want := range []string{"SERROR\x00", "C3D000\x00", "M" + e.Message + "\x00", "HGo home.\x00"} {
			if !strings.Contains(got, want) {
				t.Errorf("%q is not in %q", want, got)
			}
		}
	}
	if strings.Contains(string(e.Body), "Go home.") {
		t.Error("the server's own words have changed")
	}
}

// TestSizes refuses the lengths that PostgreSQL refuses.
func TestSizes(t *testing.T) {
	for _, c := range []struct {
		in   string
		size int
		ok   bool
	}{
		{"", 0, true},
		{"\x00\x00\x00", 0, true},
		{"\x00\x00\x00\x08", 8, true},
		{"\x00\x00\x00\x07", 0, false},
		{"\x00\x00\x27\x10", 10000, true},
		{"\x00\x00\x27\x11", 0, false},
		{"\xff\xff\xff\xff", 0, false},
	} {
		if n, err := StartupSize([]byte(c.in)); n != c.size || (err == nil) != c.ok {
			t.Errorf("%q: %d, %v", c.in, n, err)
		}
	}
	for n, ok := range map[int]bool{3: false, 4: true, 256: true, 257: false} {
		if _, _, err := ReadCancel(AppendCancel(nil, 7, make([]byte, n))); (err == nil) != ok {
			t.Errorf("a secret of %d bytes: %v", n, err)
		}
	}
	for length, want := range map[byte]int{4: 0, 9: 5, 3: -1} {
		if got := Body([]byte{'Z', 0, 0, 0, length}); got != want {
			t.Errorf("length word %d: a body of %d bytes, want %d", length, got, want)
		}
	}
}
