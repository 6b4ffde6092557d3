package command

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"github.com/heliosproxy/heliosproxy/controlplane/configfile"
)

// Level is how bad it is what came of trying something.
type Level string

// The levels.
const (
	OK   Level = "ok"
	Warn Level = "warn"
	Fail Level = "fail"
)

// Outcome is what came of trying one thing.
type Outcome struct {
	Level Level
	What  string // what was tried, as "node pg1 (10.0.0.5:5432)"
	Why   string // a clause without capital and full stop
}

func (p Program) checkCommand() *cobra.Command {
	var from source
	var strict, offline bool
	c := &cobra.Command{
		Use:   "check {--config FILE | --pgbouncer-ini FILE}",
		Short: "Say what is wrong or without effect in a file, and try what it names",
		Long: `Say what is wrong or without effect in a file, a line each: FILE:LINE: KEY: sentence. Then try what it names, a line each: ok, warn
or fail, what, and why. Certificates and keys are loaded, listeners bound for a moment, nodes connected to and asked for TLS; nobody
is logged in. With --offline no node is connected to.

The exit code is 1 if the file has an error or something has failed, else 0.`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if err := from.check(); err != nil {
				return err
			}
			l, err := from.load()
			if err != nil {
				return failed{err}
			}
			printFindings(p.Out, l.findings)
			if l.file == nil {
				return failed{errReported}
			}
			var outcomes []Outcome
			if p.Try != nil {
				outcomes = p.Try(c.Context(), l.file, offline)
			}
			printOutcomes(p.Out, outcomes)
			bad := strict && slices.ContainsFunc(l.findings, func(f configfile.Finding) bool { return f.Severity == configfile.Warning })
			for _, o := range outcomes {
				bad = bad || o.Level == Fail || strict && o.Level == Warn
			}
			if bad {
				return failed{errReported}
			}
			return nil
		},
	}
	from.register(c)
	c.Flags().BoolVar(&strict, "strict", false, "exit with 1 for warnings too")
	c.Flags().BoolVar(&offline, "offline", false, "connect to no node")
	return c
}

// printOutcomes prints a line an outcome, in columns.
func printOutcomes(w io.Writer, outcomes []Outcome) {
	width := 0
	for _, o := range outcomes {
		width = max(width, utf8.RuneCountInString(o.What))
	}
	for _, o := range outcomes {
		why := strings.ReplaceAll(o.Why, "\n", " ")
		fmt.Fprintf(w, "%-4s  %s%s  %s\n", o.Level, o.What, strings.Repeat(" ", width-utf8.RuneCountInString(o.What)), why)
	}
}
