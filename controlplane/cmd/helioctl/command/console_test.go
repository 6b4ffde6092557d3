package command_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/heliosproxy/heliosproxy/controlplane/cmd/helioctl/command"
	"github.com/heliosproxy/heliosproxy/pkg/resource"
	heliosv1 "github.com/heliosproxy/heliosproxy/proto/gen/go/helios/v1"
)

// RunCommand answers what the test has written down for "TEXT @PROXY,PROXY", or for the text alone.
func (p *plane) RunCommand(r *heliosv1.RunCommandRequest, s heliosv1.AdminService_RunCommandServer) error {
	key := r.GetText()
	if to := strings.Join(append(r.GetNodes(), r.GetGroup()), ","); to != "" {
		key += " @" + strings.TrimSuffix(to, ",")
	}
	all, ok := p.answers[key]
	if !ok {
		return status.Errorf(codes.NotFound, "no answer to %s within %v", key, r.GetPatience().AsDuration())
	}
	if err := s.SendHeader(metadata.MD{}); err != nil {
		return err
	}
	for _, m := range all {
		if m.GetNodeId() == "" { // the connection breaks
			return status.Error(codes.Unavailable, "it breaks")
		}
		if err := s.Send(m); err != nil {
			return err
		}
	}
	return nil
}

// shown is a part of a table: names with :i for numbers, and rows, where - is NULL. last is its tag.
func shown(node, columns, last string, rows ...string) *heliosv1.RunCommandResponse {
	a := &heliosv1.CommandAnswer{Tag: last, Last: last != ""}
	for _, c := range strings.Fields(columns) {
		name, number, typ := c, false, uint32(25)
		if name, number = strings.CutSuffix(c, ":i"); number {
			typ = 23
		}
		a.Columns = append(a.Columns, &heliosv1.Column{Name: name, Type: typ})
	}
	for _, text := range rows {
		r := &heliosv1.Row{}
		for i, v := range strings.Split(text, "|") {
			if v == "-" {
				v, r.Nulls = "", append(r.Nulls, uint32(i))
			}
			r.Values = append(r.Values, []byte(v))
		}
		a.Rows = append(a.Rows, r)
	}
	return &heliosv1.RunCommandResponse{NodeId: node, Answer: a}
}

func refused(node, sqlstate, message, hint string) *heliosv1.RunCommandResponse {
	return &heliosv1.RunCommandResponse{NodeId: node, Answer: &heliosv1.CommandAnswer{
		Last: true, Failure: &heliosv1.CommandFailure{Sqlstate: sqlstate, Message: message, Hint: hint},
	}}
}

func unasked(node, why string, unknown bool) *heliosv1.RunCommandResponse {
	return &heliosv1.RunCommandResponse{NodeId: node, Unasked: why, Unknown: unknown}
}

func done(node, tag string) *heliosv1.RunCommandResponse { return shown(node, "", tag) }

// consoles are what proxies say to commands: those of two that are well, or of one, or of some that are not.
func consoles() map[string][]*heliosv1.RunCommandResponse {
	const pools = "database user cl_active:i sv_active:i sv_idle:i maxwait:i pool_mode load_balance_hosts node"
	const known = "cluster database user secret asked until key"
	type said = []*heliosv1.RunCommandResponse
	return map[string]said{
		"SHOW POOLS": {
			shown("two", pools, "", "shop|app|3|2|1|0|transaction|-|pg"), shown("one", pools, "SHOW", "shop|app|1|1|0|0|transaction|-|pg", "s\x1b\xffp|app|0|0|0|0|session|-|pg"),
			shown("two", "", "SHOW", "post|app|0|0|4|0|session|-|pg"),
		},
		"SHOW POOLS @one": {shown("one", pools, "SHOW", "shop|app|1|1|0|0|transaction|-|pg")},
		"SHOW POOLS @web": {
			shown("one", pools, "SHOW", "shop|app|1|1|0|0|transaction|-|pg"), unasked("old", `proxy "old" has not answered within 5s`, true),
			refused("two", "58000", "internal error", ""),
		},
		"SHOW CLIENTS": {shown("one", "id:i user database state addr port:i", "SHOW")},
		"SHOW SERVERS": {shown("one", "type user database state addr port:i remote_pid:i node", "SHOW", "S|app|shop|idle|10.0.0.1|5432|77|pg")},
		`PAUSE "sh""op"`: {
			done("one", "PAUSE"), refused("two", "57014", "PAUSE has given up after 30s: 1 client", "Wait."), unasked("gone", `proxy "gone" is not connected`, false),
		},
		"RESUME": {done("one", "RESUME"), done("two", "RESUME")}, "KILL": {done("one", "KILL"), unasked("two", `proxy "two" was lost before it had answered`, true)},
		"RECONNECT @one,two": {done("one", "RECONNECT"), {}},
		"SHOW AUTH_CACHE": {
			shown("one", known, "SHOW", "main|shop|ann|scram|2026-03-01 11:59:30 UTC|2026-03-01 11:00:00 UTC|yes", "main|-|app|-|-|-|yes"),
			shown("two", known, "SHOW", "main|shop|nobody|nobody|2026-03-01 11:00:00 UTC|-|no"),
		},
		`SHOW AUTH_CACHE "x" @one`: {shown("one", known, "SHOW")},
		`FORGET "ann"`:             {shown("one", "answers:i keys:i", "FORGET", "2|1"), shown("two", "answers:i keys:i", "FORGET", "0|0")},
	}
}

// TestConsole holds what is printed of consoles against what it was, with the exit code; -update writes it.
func TestConsole(t *testing.T) {
	x, _ := serve(t, &plane{answers: consoles(), resources: []*heliosv1.Resource{
		stored(t, resource.KindDatabase, &heliosv1.Database{Name: "shop"}, 1), stored(t, resource.KindDatabase, &heliosv1.Database{Name: "*"}, 1),
	}, pictures: []*heliosv1.GetFleetResponse{{Nodes: []*heliosv1.FleetNode{{NodeId: "one"}, {NodeId: "two"}}}}})
	var b strings.Builder
	for _, line := range []string{
		"pools", "pools -o wide", "pools -o json", "pools --proxy one", "pools --group web", "pools --group web -o json", "clients", "servers",
		`pause sh"op`, `pause sh"op -o json`, "resume", "kill", "reconnect --proxy one --proxy two", "reconnect --proxy none",
		"auth cache", "auth cache -o yaml", "auth cache --user x --proxy one", "auth cache --forget ann",
		"pools x", "pools --interval 1ms", "pools --proxy a --group b", "pause a b", "auth cache --forget a --user b",
		"__complete pause s", "__complete pause shop x", "__complete pools --proxy t",
	} {
		var out bytes.Buffer
		p := command.Program{In: strings.NewReader(""), Out: &out, Err: &out, Env: func(k string) string { return x.env[k] }, Now: noon}
		code := p.Main(strings.Fields(line))
		fmt.Fprintf(&b, "$ helioctl %s\n%s[%d]\n", line, out.String(), code)
	}
	path := filepath.Join("testdata", "console.txt")
	if flag.Lookup("update").Value.String() == "true" {
		if err := os.WriteFile(path, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if b.String() != string(want) {
		t.Errorf("%s: got\n%s", path, b.String())
	}
}

// lines gets a sample at each write, and breaks at the third.
type lines struct {
	t    *testing.T
	last string
	n    int
}

func (l *lines) Write(p []byte) (int, error) {
	if l.n++; l.n == 3 {
		return 0, os.ErrClosed
	}
	l.last = string(p)
	return len(p), nil
}

// TestConsoleWatch takes sample after sample.
func TestConsoleWatch(t *testing.T) {
	x, _ := serve(t, &plane{answers: consoles()})
	watch := func(args string) string {
		t.Helper()
		l := &lines{t: t}
		p := command.Program{Out: l, Err: io.Discard, Env: func(k string) string { return x.env[k] }, Now: noon}
		if code := p.Main(strings.Fields(args)); code != 1 || l.n < 3 {
			t.Errorf("%s: exit code %d after %d samples", args, code, l.n)
		}
		return l.last
	}
	var doc struct {
		Time  time.Time
		Pools []struct {
			Proxy  string
			Active int `json:"sv_active"`
		}
	}
	line := watch("pools --watch --interval 100ms -o json")
	if err := json.Unmarshal([]byte(line), &doc); err != nil || strings.Count(line, "\n") != 1 || len(doc.Pools) != 4 || doc.Pools[2].Active != 2 || !doc.Time.Equal(noon()) {
		t.Errorf("%v: %s", err, line)
	}
	if got := watch("pools -w --interval 100ms --group web"); !strings.HasPrefix(got, "2026-03-01 12:00:00\n\nPROXY") || !strings.Contains(got, "helioctl: proxy \"two\": internal error") {
		t.Error(got)
	}
}
