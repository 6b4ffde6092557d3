// Package configfile reads the TOML file of a standalone proxy into resources. It never guesses: a key that it does not know, or whose feature is not there yet, is a finding with file, line, key and a sentence.
package configfile

import (
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/heliosproxy/heliosproxy/controlplane/configfile/document"
	"github.com/heliosproxy/heliosproxy/controlplane/configfile/environ"

	"github.com/heliosproxy/heliosproxy/pkg/resource"
	heliosv1 "github.com/heliosproxy/heliosproxy/proto/gen/go/helios/v1"
)

// File is what a valid file says.
type File struct {
	Set       *resource.Set // validated
	Bootstrap Bootstrap
}

// Bootstrap is what belongs to the machine and not to the desired state.
type Bootstrap struct {
	AdminAddress  string // HOST:PORT with an IP address as host
	AdminOptional bool   // nobody asked for it: if the address is taken, go on without
	AdminToken    Secret // empty: none
	Loops         int    // event loops; 0 lets the proxy choose
	DrainTimeout  time.Duration
	Peers         *heliosv1.Peers // the other proxies, and the number of this one
	DrainRate     int             // sessions a second; 0 is all at once
	// TakeoverWindow is how long sessions may stay that a successor cannot take.
	TakeoverWindow time.Duration
}

// Secret is text that is never shown.
type Secret string

// String hides the secret from logs.
func (Secret) String() string { return "[redacted]" }

// GoString hides the secret from %#v.
func (Secret) GoString() string { return "[redacted]" }

// Load reads the file at path and the environment variables that it names. The findings are those of the
// whole file, by line; File is nil if one of them is an error. The error is for a file that cannot be read.
func Load(path string) (*File, Findings, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, nil, fmt.Errorf("read config: %w", err)
	}
	file, findings := Parse(path, data, os.LookupEnv)
	return file, findings, nil
}

// Parse is [Load] for bytes that are there already. Name is the file's in findings; env is asked for variables.
func Parse(name string, data []byte, env func(string) (string, bool)) (*File, Findings) {
	r := &reader{report: report{file: name}, schema: newSchema()}
	text := environ.Fill(data, env, r.variable)
	root, err := document.Parse(text)
	var syntax *document.SyntaxError
	if errors.As(err, &syntax) {
		r.fail(syntax.Line, "toml", "%s%s", syntax.Message, text.Hint(syntax.Line))
	}
	if err == nil {
		r.read(root)
	}
	findings := r.sorted()
	if findings.Failed() {
		return nil, findings
	}
	return &File{Set: r.set, Bootstrap: r.bootstrap}, findings
}
