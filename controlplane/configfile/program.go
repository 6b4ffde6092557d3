package configfile

import (
	"slices"
	"strings"

	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/heliosproxy/heliosproxy/pkg/hba"
	"github.com/heliosproxy/heliosproxy/pkg/resource"
	heliosv1 "github.com/heliosproxy/heliosproxy/proto/gen/go/helios/v1"
)

// argv is a program and its arguments. A program with a / in its name that is not absolute is one beside the configuration.
func (r *reader) argv(argv []string) []string {
	argv = slices.Clone(argv)
	if strings.Contains(argv[0], "/") {
		argv[0] = r.path(argv[0])
	}
	return argv
}

// program is what judges passwords at a listener; nil is nothing.
func (r *reader) program(listener string) *heliosv1.Program {
	s := r.settings
	r.from(resource.KindListener, listener, s, "auth.", map[string]string{"program.command": "program", "program.timeout": "program_timeout_secs", "hba": "mode"})
	argv := s.texts("auth.program")
	if !s.has("auth.program") {
		if at := s.at("auth.program_timeout_secs"); s.has("auth.program_timeout_secs") && listener == defaultName {
			r.fail(at.line, at.key, "is of auth.program, and there is none")
		}
		return nil
	}
	x := &heliosv1.Program{Timeout: durationpb.New(seconds(s.int("auth.program_timeout_secs")))}
	if len(argv) > 0 {
		x.Command = r.argv(argv)
	}
	return x
}

// warnOfProgram says that a program is never asked, or is told passwords that others could read on their way.
func (r *reader) warnOfProgram(auth heliosv1.AuthMethod, rules string) {
	if !r.settings.has("auth.program") {
		return
	}
	asked, bare := auth == heliosv1.AuthMethod_AUTH_METHOD_PROGRAM, true
	if rules != "" {
		asked, bare = false, false
		if parsed, _ := hba.Parse("hba", []byte(rules), hba.Options{}); parsed != nil {
			for rule := range parsed.All() {
				asked = asked || rule.Method == hba.PAM
				bare = bare || rule.Method == hba.PAM && rule.Type != hba.HostSSL && rule.Type != hba.Local
			}
		}
	}
	at, tcp := r.settings.at("auth.program"), r.settings.text("proxy.listen_address")
	address, err := resource.ParseAddress(tcp)
	switch {
	case r.settings.has("auth.hba_file") && rules == "": // refused already
	case !asked:
		r.warn(at.line, at.key, "is never asked: neither is auth.mode program nor the method of a rule pam")
	case bare && err == nil && !address.Local() && !resource.TowardsClients(r.clientTLS()).Mode.Required():
		r.warn(at.line, at.key, "clients are asked for passwords in clear text also without TLS: set tls.mode to require, or write hostssl in the rules")
	}
}
