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
	"google.golang.org/protobuf/types/known/timestamppb"

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
			shown("two", "", "SHOW", "post|app|0|0|4|0|session|round-robin|pg"),
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
		"SHOW CONFIG": {
			shown("one", "key value default changeable", "SHOW", "log_level|debug|info|yes", "pool_mode|transaction|transaction|no"),
			shown("two", "key value default changeable", "SHOW", "log_level|info|info|yes"), shown("old", "key value default changeable", "SHOW", "pool_mode|session|session|no"),
		},
		"SHOW CONFIG @one":        {shown("one", "key value default changeable", "SHOW", "log_level|debug|info|yes")},
		"SET log_level = 'debug'": {done("one", "SET"), refused("old", "22023", "cannot set log_level: it is unknown", "")},
		`FORGET "ann"`:            {shown("one", "answers:i keys:i", "FORGET", "2|1"), shown("two", "answers:i keys:i", "FORGET", "0|0")},
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
		"log-level", "log-level -o json", "log-level --proxy one", "log-level debug", "log-level loud",
		"pools x", "pools --interval 1ms", "pools --proxy a --group b", "pause a b", "auth cache --forget a --user b",
		"__complete pause s", "__complete log-level w", "__complete pause shop x", "__complete pools --proxy t",
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

// TestDrain ends a proxy, and says what has become of it: in how many pictures it is there, with which clients, and when it is gone.
func TestDrain(t *testing.T) {
	at := func(started int64, connected bool, clients uint32, file bool) *heliosv1.GetFleetResponse {
		n := &heliosv1.FleetNode{NodeId: "two", Connected: connected, Clients: clients, Source: heliosv1.Source_SOURCE_CONTROL_PLANE, Started: timestamppb.New(time.Unix(started, 0))}
		if file {
			n.Source = heliosv1.Source_SOURCE_FILE
		}
		return &heliosv1.GetFleetResponse{Nodes: []*heliosv1.FleetNode{{NodeId: "one", Connected: true}, n}}
	}
	lost := unasked("two", `proxy "two" was lost before it had answered`, true)
	type pictures = []*heliosv1.GetFleetResponse
	for _, tt := range []struct {
		what, args string
		pictures   pictures
		said       *heliosv1.RunCommandResponse
		code       int
		want       string
	}{
		{"gone", "--yes", pictures{at(1, true, 3, false), at(1, true, 1, false), at(1, false, 0, false)}, done("two", "SHUTDOWN"), 0, "two: drained\n"},
		{"before it has answered", "-y", pictures{at(1, true, 3, false), at(1, false, 0, false)}, lost, 0, "two: drained\n"},
		{"again", "-y", pictures{at(1, true, 3, false), at(2, true, 0, false)}, done("two", "SHUTDOWN"), 0, "two: drained; another process runs under its name since\n"},
		{"JSON", "-y -o json", pictures{at(1, true, 3, false), at(1, false, 3, false)}, done("two", "SHUTDOWN"), 0, "{\n  \"proxy\": \"two\",\n  \"gone\": true,\n  \"started_again\": false,\n  \"clients\": 0\n}\n"},
		{"still there", "-y --timeout 1s", pictures{at(1, true, 3, false), at(1, true, 2, false)}, done("two", "SHUTDOWN"), 5, "helioctl: proxy \"two\" is still draining, of its clients 2 were there when it was last heard of\n"},
		{"refused", "-y", pictures{at(1, true, 3, false)}, refused("two", "0A000", "SHUTDOWN is not for this proxy to do", ""), 1, "helioctl: proxy \"two\": SHUTDOWN is not for this proxy to do (SQLSTATE 0A000)\n"},
		{"not asked", "-y", pictures{at(1, true, 3, false)}, unasked("two", `proxy "two" is not connected`, false), 4, "helioctl: proxy \"two\" is not connected\n"},
		{"not connected", "-y", pictures{at(1, false, 3, false)}, nil, 4, "helioctl: proxy \"two\" is not connected\n"},
		{"nobody to ask", "", pictures{at(1, true, 3, false)}, nil, 2, "helioctl: there is no terminal to ask at whether it is meant: --yes says so\nRun 'helioctl drain --help' for usage.\n"},
	} {
		x, _ := serve(t, &plane{pictures: tt.pictures, answers: map[string][]*heliosv1.RunCommandResponse{"SHUTDOWN WAIT_FOR_SERVERS @two": {tt.said}}})
		var out bytes.Buffer
		p := command.Program{In: strings.NewReader("y\n"), Out: &out, Err: &out, Env: func(k string) string { return x.env[k] }, Now: noon}
		if code := p.Main(strings.Fields("drain two " + tt.args)); code != tt.code || out.String() != tt.want {
			t.Errorf("%s: exit code %d, %q", tt.what, code, out.String())
		}
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
