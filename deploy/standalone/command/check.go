package command

import (
	"encoding/json"
	"errors"
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
	Level Level  `json:"level"`
	What  string `json:"what"` // what was tried, as "node pg1 (10.0.0.5:5432)"
	Why   string `json:"why"`  // a clause without capital and full stop
	// Runs says that nothing but a proxy that runs is in the way.
	Runs bool `json:"-"`
}

func (p Program) checkCommand() *cobra.Command {
	var from source
	var one alone
	var output string
	var strict, offline bool
	c := &cobra.Command{
		Use:   "check {--config FILE | --pgbouncer-ini FILE | --hba FILE | ...}",
		Short: "Say what is wrong or without effect in a file, and try what it names",
		Long: `Say what is wrong or without effect in a file, a line each: FILE:LINE: KEY: sentence. Then try what it names, a line each: ok, warn
or fail, what, and why. Certificates and keys are loaded, listeners bound for a moment, nodes connected to and asked for TLS; where
users are looked up in the database, auth_query is asked once for nobody, as auth_user. Whether logfile and pidfile of a pgbouncer.ini
can be written is tried, too. With --offline no node is connected to. With -o json all of it is one JSON document. A file that configurations name, and
a file of resources, can be checked by itself.

The exit code is 1 if the file has an error or something has failed, else 0.`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if output != "" && output != "json" {
				return fmt.Errorf("-o %s is not json", output)
			}
			form, ok, err := one.given()
			switch {
			case err != nil:
				return err
			case ok && from.name() != "":
				return errors.New("one file is checked at a time")
			case !ok:
				if err := from.check(); err != nil {
					return err
				}
			}
			v := verdict{File: from.name()}
			var l loaded
			if ok {
				v.File = *form.path
				l.findings, err = form.check()
			} else {
				l, err = from.load()
			}
			if err != nil {
				return failed{err}
			}
			if output == "" {
				printFindings(p.Out, l.findings) // before what may take seconds
			}
			v.Findings = l.findings
			if l.file != nil && p.Try != nil {
				v.Tried = p.Try(c.Context(), l.file, offline)
			}
			if l.file != nil {
				v.Tried = append(v.Tried, l.tryFiles(slices.ContainsFunc(v.Tried, func(o Outcome) bool { return o.Runs }))...)
			}
			v.judge(strict)
			if output == "" {
				printOutcomes(p.Out, v.Tried)
			} else if err := v.print(p.Out); err != nil {
				return failed{err}
			}
			if !v.Passed {
				return failed{errReported}
			}
			return nil
		},
	}
	from.register(c)
	one.register(c)
	c.Flags().BoolVar(&strict, "strict", false, "exit with 1 for warnings too")
	c.Flags().BoolVar(&offline, "offline", false, "connect to no node")
	c.Flags().StringVarP(&output, "output", "o", "", "how it is printed: json (default: for people)")
	cobra.CheckErr(c.RegisterFlagCompletionFunc("output", cobra.FixedCompletions([]string{"json"}, cobra.ShellCompDirectiveNoFileComp)))
	return c
}

// verdict is what is said of a file.
type verdict struct {
	File     string
	Passed   bool
	Findings configfile.Findings
	Tried    []Outcome
}

// judge says whether the file passes.
func (v *verdict) judge(strict bool) {
	warned := slices.ContainsFunc(v.Findings, func(f configfile.Finding) bool { return f.Severity == configfile.Warning })
	v.Passed = !v.Findings.Failed() && !(strict && warned)
	for _, o := range v.Tried {
		v.Passed = v.Passed && o.Level != Fail && !(strict && o.Level == Warn)
	}
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

// print prints all of it as one JSON document.
func (v *verdict) print(w io.Writer) error {
	type finding struct {
		File     string `json:"file"`
		Line     int    `json:"line"`
		Key      string `json:"key"`
		Severity string `json:"severity"`
		Sentence string `json:"sentence"`
	}
	doc := struct {
		File     string    `json:"file"`
		Passed   bool      `json:"passed"`
		Findings []finding `json:"findings"`
		Tried    []Outcome `json:"tried"`
	}{v.File, v.Passed, []finding{}, append([]Outcome{}, v.Tried...)}
	for _, f := range v.Findings {
		doc.Findings = append(doc.Findings, finding{f.File, f.Line, f.Key, f.Severity.String(), f.Sentence})
	}
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	return e.Encode(doc)
}
