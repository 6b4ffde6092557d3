package command

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/heliosproxy/heliosproxy/pkg/logx"
	"github.com/heliosproxy/heliosproxy/pkg/resource"
)

var errNoConfig = errors.New("--config FILE is missing")

// flags are those of a proxy that runs.
type flags struct {
	config       string
	drainTimeout time.Duration
	logLevel     string
	logFormat    string
	nodeID       string
	loops        int
	listen       []string

	// Set by check.
	drainSet, loopsSet bool              // else what the file says goes
	addresses          map[string]string // listen by name
}

func configFlag(c *cobra.Command, config *string) {
	c.Flags().StringVarP(config, "config", "c", "", "the TOML file")
	cobra.CheckErr(c.MarkFlagFilename("config", "toml"))
}

func (f *flags) register(c *cobra.Command) {
	configFlag(c, &f.config)
	fs := c.Flags()
	fs.SortFlags = false
	fs.DurationVar(&f.drainTimeout, "drain-timeout", 0, "how long sessions have for their transactions after SIGTERM (default: proxy.drain_timeout_secs)")
	fs.StringArrayVar(&f.listen, "listen", nil, "the address of a listener, NAME=HOST:PORT or NAME=unix:/path; may be given again")
	fs.IntVar(&f.loops, "loops", 0, "event loops; 0 lets the proxy choose (default: proxy.loops)")
	fs.StringVar(&f.nodeID, "node-id", "", "the name of this proxy (default: the host name)")
	fs.StringVar(&f.logLevel, "log-level", "info", strings.Join(logx.Levels(), ", "))
	fs.StringVar(&f.logFormat, "log-format", "console", strings.Join(logx.Formats(), ", "))
	for name, words := range map[string][]string{"log-level": logx.Levels(), "log-format": logx.Formats()} {
		cobra.CheckErr(c.RegisterFlagCompletionFunc(name, cobra.FixedCompletions(words, cobra.ShellCompDirectiveNoFileComp)))
	}
}

// check reads what flags say. Its errors are usage errors.
func (f *flags) check(c *cobra.Command) error {
	f.drainSet, f.loopsSet = c.Flags().Changed("drain-timeout"), c.Flags().Changed("loops")
	switch {
	case f.config == "":
		return errNoConfig
	case f.drainTimeout < 0:
		return fmt.Errorf("--drain-timeout %s is negative", f.drainTimeout)
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
	if f.nodeID != "" {
		return nil
	}
	name, err := os.Hostname()
	if err != nil {
		return fmt.Errorf("--node-id is missing and the host has no name: %w", err)
	}
	f.nodeID = name
	return nil
}
