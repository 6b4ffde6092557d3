package command

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/heliosproxy/heliosproxy/pkg/logx"
	"github.com/heliosproxy/heliosproxy/pkg/resource"
)

// flags are those of a proxy that runs.
type flags struct {
	logging
	source
	parting
	nodeID         string
	loops          int
	listen         []string
	stateDir       string
	maxConfigBytes int

	// Set by check.
	loopsSet  bool              // else what the file says goes
	addresses map[string]string // listen by name
}

// logging are the flags of a program that logs.
type logging struct {
	level, format string

	levelSet bool // set by check
}

func (l *logging) check(fs *pflag.FlagSet) { l.levelSet = fs.Changed("log-level") }

func (l *logging) register(c *cobra.Command) {
	c.Flags().StringVar(&l.level, "log-level", "info", strings.Join(logx.Levels(), ", "))
	c.Flags().StringVar(&l.format, "log-format", "console", strings.Join(logx.Formats(), ", "))
	for name, words := range map[string][]string{"log-level": logx.Levels(), "log-format": logx.Formats()} {
		cobra.CheckErr(c.RegisterFlagCompletionFunc(name, cobra.FixedCompletions(words, cobra.ShellCompDirectiveNoFileComp)))
	}
}

// defaultMaxConfigBytes bounds a configuration unless somebody says otherwise.
const defaultMaxConfigBytes = 32 << 20

// register makes the flags of a proxy; drain is what goes where --drain-timeout is not given, and loops where
// --loops is not.
func (f *flags) register(c *cobra.Command, drain, loops string) {
	fs := c.Flags()
	fs.SortFlags = false
	f.parting.register(fs, drain)
	fs.StringArrayVar(&f.listen, "listen", nil, "the address of a listener, NAME=HOST:PORT or NAME=unix:/path; may be given again")
	fs.IntVar(&f.loops, "loops", 0, "event loops; 0 lets the proxy choose"+loops)
	fs.StringVar(&f.nodeID, "node-id", "", "the name of this proxy (default: the host name)")
	fs.StringVar(&f.stateDir, "state-dir", "", "the directory of what this proxy keeps (default: see docs/cli.md)")
	fs.IntVar(&f.maxConfigBytes, "max-config-bytes", defaultMaxConfigBytes, "the largest configuration that is taken")
	f.logging.register(c)
}

// stateHome is where state is kept unless somebody says otherwise: what systemd gives, or the user's own.
func stateHome() (string, error) {
	if dir := os.Getenv("STATE_DIRECTORY"); dir != "" {
		first, _, _ := strings.Cut(dir, ":")
		return first, nil
	}
	if os.Geteuid() == 0 {
		return "/var/lib/heliosproxy", nil
	}
	if dir := os.Getenv("XDG_STATE_HOME"); filepath.IsAbs(dir) {
		return filepath.Join(dir, "heliosproxy"), nil
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return "", err
	}
	return filepath.Join(home, ".local/state/heliosproxy"), nil
}

// check reads what flags say. Its errors are usage errors.
func (f *flags) check(c *cobra.Command) error {
	f.loopsSet = c.Flags().Changed("loops")
	f.logging.check(c.Flags())
	if err := f.parting.check(c.Flags()); err != nil {
		return err
	}
	switch {
	case f.maxConfigBytes < 1:
		return fmt.Errorf("--max-config-bytes %d is less than 1", f.maxConfigBytes)
	case f.loops < 0:
		return fmt.Errorf("--loops %d is negative", f.loops)
	}
	f.addresses = map[string]string{}
	for _, l := range f.listen {
		name, address, ok := strings.Cut(l, "=")
		if !ok || name == "" {
			return fmt.Errorf("--listen %s: want NAME=HOST:PORT or NAME=unix:/path", l)
		}
		if _, err := resource.ParseAddress(address); err != nil {
			return fmt.Errorf("--listen %s: %w", l, err)
		}
		if _, twice := f.addresses[name]; twice {
			return fmt.Errorf("--listen %s: %s has an address already", l, name)
		}
		f.addresses[name] = address
	}
	if f.nodeID == "" {
		name, err := os.Hostname()
		if err != nil {
			return fmt.Errorf("--node-id is missing and the host has no name: %w", err)
		}
		f.nodeID = name
	}
	return nil
}

// state completes the state directory: without --state-dir it is a subdirectory of where state is kept.
func (f *flags) state(sub string) error {
	if f.stateDir != "" {
		return nil
	}
	home, err := stateHome()
	if err != nil {
		return fmt.Errorf("--state-dir is missing and there is no home directory: %w", err)
	}
	f.stateDir = filepath.Join(home, sub)
	return nil
}
