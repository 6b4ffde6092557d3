package command

import (
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/heliosproxy/heliosproxy/controlplane/configfile"
	"github.com/heliosproxy/heliosproxy/controlplane/pgbouncer"
)

// source is the file that a standalone proxy is configured by: a proxy.toml, or a pgbouncer.ini.
type source struct{ config, ini string }

var errNoConfig = errors.New("--config FILE is missing")

func (s *source) register(c *cobra.Command) {
	c.Flags().StringVarP(&s.config, "config", "c", "", "the TOML file")
	c.Flags().StringVar(&s.ini, "pgbouncer-ini", "", "a pgbouncer.ini in place of it")
	cobra.CheckErr(c.MarkFlagFilename("config", "toml"))
	cobra.CheckErr(c.MarkFlagFilename("pgbouncer-ini", "ini"))
}

// check wants one of both. Its errors are usage errors.
func (s *source) check() error {
	switch {
	case s.config == "" && s.ini == "":
		return errNoConfig
	case s.config != "" && s.ini != "":
		return errors.New("--config and --pgbouncer-ini are two configurations: give one")
	}
	return nil
}

// name is the file's.
func (s *source) name() string { return s.config + s.ini }

// loaded is what a source says.
type loaded struct {
	file     *configfile.File // nil if one of the findings is an error
	findings configfile.Findings
	ini      *pgbouncer.Config // what else a pgbouncer.ini says; nil if it is none
}

// load reads the source. Its error is for a file that cannot be read.
func (s *source) load() (loaded, error) {
	if s.ini == "" {
		file, findings, err := configfile.Load(s.config)
		return loaded{file: file, findings: findings}, err
	}
	options, err := pgbouncer.Machine()
	if err != nil {
		return loaded{}, fmt.Errorf("read %s: %w", s.ini, err)
	}
	c := pgbouncer.Load(s.ini, options)
	return loaded{c.File, c.Findings, c}, nil
}

// files are the log's and the process number's, of which only a pgbouncer.ini says anything.
func (l loaded) files() (log, pid string) {
	if l.ini == nil {
		return "", ""
	}
	return l.ini.Logfile, l.ini.Pidfile
}

// verbose says that the log is to begin with debug, of which only a pgbouncer.ini says anything.
func (l loaded) verbose() bool { return l.ini != nil && l.ini.Verbose }

func printFindings(w io.Writer, findings configfile.Findings) {
	for _, f := range findings {
		fmt.Fprintln(w, f)
	}
}

// invalid is why a file with these findings is not used: the first error, and how many more there are.
func invalid(findings configfile.Findings) error {
	var first *configfile.Finding
	n := 0
	for i, f := range findings {
		if f.Severity != configfile.Error {
			continue
		}
		if n++; first == nil {
			first = &findings[i]
		}
	}
	switch {
	case first == nil:
		return errors.New("the file is invalid")
	case n == 1:
		return fmt.Errorf("the file is invalid: %s", first)
	}
	return fmt.Errorf("the file is invalid: %s (and %d more in the log)", first, n-1)
}
