package console

import (
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/heliosproxy/heliosproxy/controlplane/cmd/helioctl/exit"
	"github.com/heliosproxy/heliosproxy/controlplane/cmd/helioctl/output"
	"github.com/heliosproxy/heliosproxy/controlplane/cmd/helioctl/table"
	"github.com/heliosproxy/heliosproxy/pkg/logx"
)

func (w World) levelCommand() *cobra.Command {
	var t Target
	var o output.Format
	c := &cobra.Command{
		Use: "log-level [LEVEL]", Short: "Show or set how much proxies log",
		Long: `Show from which level on proxies write their logs, and what they were started with, or set it: ` + strings.Join(logx.Levels(), ", ") + `.
It holds until it is set again or the proxy ends, as with SET log_level on a console. A control plane's own log stays as it is.`,
		Args: exit.Args(cobra.MaximumNArgs(1)),
		ValidArgsFunction: func(_ *cobra.Command, given []string, _ string) ([]string, cobra.ShellCompDirective) {
			if len(given) > 0 {
				return nil, cobra.ShellCompDirectiveNoFileComp
			}
			return logx.Levels(), cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveKeepOrder
		},
		RunE: func(c *cobra.Command, given []string) error {
			if err := o.Check("json"); err != nil {
				return err
			}
			if len(given) == 0 {
				return w.showLevel(c, t, o)
			}
			level := given[0]
			if !slices.Contains(logx.Levels(), level) {
				return exit.Usage(fmt.Errorf("log level %q is not one of %s", level, strings.Join(logx.Levels(), ", ")), c.CommandPath())
			}
			return w.act(c, t, "SET log_level = '"+level+"'", "logs from "+level+" on", o)
		},
	}
	t.Register(c, w.CompleteProxy)
	o.Register(c, "json")
	return c
}

// level is a proxy's row of SHOW CONFIG.
type level struct{ proxy, now, begun string }

// levels are those of proxies. One whose console has none has failed.
func (a *Answers) levels() (all []level) {
	_ = a.Each(func(proxy string, row map[string]string) error {
		if row["key"] == "log_level" {
			all = append(all, level{proxy, row["value"], row["default"]})
		}
		return nil
	})
	for _, p := range a.proxies {
		if p.fault == "" && !slices.ContainsFunc(all, func(l level) bool { return l.proxy == p.node }) {
			p.fault, p.code = "SHOW CONFIG has no log_level: the proxy is of an older version", exit.CodeRefused
		}
	}
	return all
}

func (w World) showLevel(c *cobra.Command, t Target, o output.Format) error {
	answers, err := w.Run(c, t, "SHOW CONFIG")
	if err != nil {
		return err
	}
	rows, objects := [][]string{{"PROXY", "LOG LEVEL", "STARTED WITH"}}, []any{}
	for _, l := range answers.levels() {
		rows = append(rows, []string{table.Plain(l.proxy), table.Plain(l.now), table.Plain(l.begun)})
		objects = append(objects, output.Object("proxy", l.proxy, "log_level", l.now, "started_with", l.begun))
	}
	if o.Word == "json" {
		err = o.Print(w.Out, output.Object("proxies", objects, "errors", answers.Errors()))
	} else {
		if len(rows) > 1 {
			err = table.Print(w.Out, rows)
		}
		if err == nil {
			err = answers.PrintErrors(w.Err)
		}
	}
	if err != nil {
		return err
	}
	return answers.Exit()
}
