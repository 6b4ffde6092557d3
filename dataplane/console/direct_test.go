package console

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/heliosproxy/heliosproxy/pkg/pgerr"
)

// TestDo carries out commands without a wire.
func TestDo(t *testing.T) {
	for _, tt := range []struct{ text, want string }{
		{"SHOW USERS", "SHOW name:25,pool_size:25,reserve_pool_size:25,pool_mode:25,max_user_connections:23,current_connections:23," +
			"max_user_client_connections:23,current_client_connections:23 (ann,NULL,NULL,NULL,0,0,0,0) (bob,3,NULL,session,0,0,0,0)"},
		{"show dns_zones;", "SHOW zonename:25,serial:20,count:23 (example.com,4294967295,2)"},
		{`pause "Shop"`, "PAUSE done: pause Shop"},
		{" -- a comment\nKILL", "KILL done: kill"},
		{"SHOW AUTH_CACHE ann", "SHOW cluster:25,database:25,user:25,secret:25,asked:25,until:25,key:25 (main,shop,ann,scram,2001-09-09 01:46:40 UTC,2033-05-18 03:33:20 UTC,yes)"},
		{`SHOW AUTH_CACHE "bob"`, "SHOW cluster:25,database:25,user:25,secret:25,asked:25,until:25,key:25 (main,NULL,bob,NULL,NULL,NULL,yes)"},
		{"FORGET ann", "FORGET answers:23,keys:23 (2,3)"},
		{"FORGET", "42601"},
		{"SHOW AUTH_CACHE a b", "42601"},
		{"", "42601"},
		{"SHOW STATE; PAUSE", "42601"},
		{"SELECT 1", "42601"},
		{`PAUSE "a`, "42601"},
		{"SHOW NOTHING", "42601"},
	} {
		f := &fake{}
		if got := done(f, tt.text); got != tt.want {
			t.Errorf("%q: %s\nwant %s", tt.text, got, tt.want)
		}
	}
	for err, want := range map[error]string{
		errPanics: "58000", errors.New("the disk is full"): "58000", pgerr.New(pgerr.ConsoleDatabase, "x"): "3D000",
	} {
		if got := done(&fake{err: err}, "RECONNECT"); got != want {
			t.Errorf("%v: %s, want %s", err, got, want)
		}
	}
	if o, err := Do(context.Background(), &fake{}, "SHOW HELP"); err != nil || !strings.Contains(o.Notice, "PAUSE [database]") {
		t.Error(o, err)
	}
}

// done is what comes of a command, in words.
func done(f *fake, text string) string {
	o, err := Do(context.Background(), f, text)
	if err != nil {
		var pe *pgerr.Error
		if !errors.As(err, &pe) {
			return "no SQLSTATE: " + err.Error()
		}
		return pe.SQLState
	}
	var cols []string
	for _, c := range o.Columns {
		cols = append(cols, fmt.Sprintf("%s:%d", c.Name, c.Type))
	}
	said := []string{o.Tag}
	if len(cols) > 0 {
		said = append(said, strings.Join(cols, ","))
	}
	for row := range o.Rows {
		var values []string
		for _, v := range row {
			if v == nil {
				v = []byte("NULL")
			}
			values = append(values, string(v))
		}
		said = append(said, "("+strings.Join(values, ",")+")")
	}
	if f.done != nil {
		said = append(said, "done: "+strings.Join(f.done, ", "))
	}
	return strings.Join(said, " ")
}
