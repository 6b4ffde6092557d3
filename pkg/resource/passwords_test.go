package resource_test

import (
	"fmt"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/heliosproxy/heliosproxy/pkg/resource"
	heliosv1 "github.com/heliosproxy/heliosproxy/proto/gen/go/helios/v1"
)

// TestPasswords puts places in a row, up to the first that has a password for everybody.
func TestPasswords(t *testing.T) {
	pass, file := &heliosv1.PasswordSource{Passfile: "/p"}, &heliosv1.PasswordSource{File: "/f"}
	command := &heliosv1.PasswordSource{Command: []string{"c"}}
	short := &heliosv1.PasswordSource{Command: []string{"c"}, Lifetime: durationpb.New(time.Second)}
	for _, c := range []struct {
		from []*heliosv1.PasswordSource
		want string
	}{
		{nil, ""},
		{[]*heliosv1.PasswordSource{nil, nil}, ""},
		{[]*heliosv1.PasswordSource{pass, nil, pass}, "[/p  [] 0s][/p  [] 0s]"},
		{[]*heliosv1.PasswordSource{pass, file, command}, "[/p  [] 0s][ /f [] 0s]"},
		{[]*heliosv1.PasswordSource{nil, command, file}, "[  [c] 10m0s]"},
		{[]*heliosv1.PasswordSource{short}, "[  [c] 1s]"},
	} {
		got := ""
		for _, s := range resource.Passwords(c.from...) {
			got += fmt.Sprintf("[%s %s %s %s]", s.Passfile, s.File, s.Command, s.Lifetime)
		}
		if got != c.want {
			t.Errorf("%v: %s, want %s", c.from, got, c.want)
		}
	}
}
