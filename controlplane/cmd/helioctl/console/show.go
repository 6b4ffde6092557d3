package console

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/heliosproxy/heliosproxy/controlplane/cmd/helioctl/exit"
	"github.com/heliosproxy/heliosproxy/controlplane/cmd/helioctl/output"
	"github.com/heliosproxy/heliosproxy/controlplane/cmd/helioctl/table"
)

// show is a command that shows what SHOW shows.
type show struct {
	word, short string
	narrow      []string // the columns of a table that is not wide
}

func shows() []show {
	return []show{
		{"pools", "Show the pools of proxies: clients and server connections by what they do", strings.Fields("database user node cl_active cl_waiting sv_active sv_idle sv_login maxwait pool_mode pool_size")},
		{"clients", "Show the clients of proxies", strings.Fields("id database user state addr port application_name connect_time request_time wait pinned_by")},
		{"servers", "Show the server connections of proxies", strings.Fields("node database user state addr port remote_pid connect_time request_time application_name")},
	}
}

// leastInterval is the shortest time between two samples.
const leastInterval = 100 * time.Millisecond

func (w World) showCommand(s show) *cobra.Command {
	var t Target
	var o output.Format
	var watch bool
	var interval time.Duration
	text := "SHOW " + strings.ToUpper(s.word)
	c := &cobra.Command{
		Use: s.word, Short: s.short, Args: exit.Args(cobra.NoArgs), ValidArgsFunction: cobra.NoFileCompletions,
		Long: s.short + `, as ` + text + ` does on a console: -o wide and -o json have all of its columns, and docs/console.md says what they are.
With --watch there is a sample every --interval: a terminal is drawn anew, elsewhere they follow each other, with -o json one document
a line. A proxy that does not answer is told of below the others.`,
		RunE: func(c *cobra.Command, _ []string) error {
			if err := o.Check("json", "wide"); err != nil {
				return err
			}
			if interval < leastInterval {
				return exit.Usage(fmt.Errorf("--interval %v is less than %v", interval, leastInterval), c.CommandPath())
			}
			if watch {
				return w.watch(c, s, t, text, o, interval)
			}
			all, err := w.Run(c, t, text)
			if err != nil {
				return err
			}
			if o.Word == "json" {
				err = o.Print(w.Out, w.document(all, s))
			} else {
				err = w.print(w.Out, w.Err, all, s, o)
			}
			if err != nil {
				return err
			}
			return all.Exit()
		},
	}
	t.Register(c, w.CompleteProxy)
	c.Flags().BoolVarP(&watch, "watch", "w", false, "go on, until Ctrl-C")
	c.Flags().DurationVar(&interval, "interval", 2*time.Second, "how often, with --watch")
	cobra.CheckErr(c.RegisterFlagCompletionFunc("interval", cobra.NoFileCompletions))
	o.Register(c, "json", "wide")
	return c
}

// watch shows sample after sample, until it is interrupted or a control plane no longer answers.
func (w World) watch(c *cobra.Command, s show, t Target, text string, o output.Format, interval time.Duration) error {
	ask, err := w.asker(c, t, text)
	if err != nil {
		return err
	}
	draw := o.Word != "json" && w.Terminal()
	next := time.NewTicker(interval)
	defer next.Stop()
	for {
		all, err := ask()
		if c.Context().Err() != nil {
			return nil // Ctrl-C is how one leaves
		}
		if err == nil {
			err = w.sample(all, s, o, draw)
		}
		if err != nil {
			return err
		}
		select {
		case <-c.Context().Done():
			return nil
		case <-next.C:
		}
	}
}

// sample prints one of several.
func (w World) sample(all *Answers, s show, o output.Format, draw bool) error {
	if o.Word == "json" {
		j, err := json.Marshal(w.document(all, s))
		if err != nil {
			return err
		}
		_, err = w.Out.Write(append(j, '\n'))
		return err
	}
	var b bytes.Buffer
	if draw {
		b.WriteString("\x1b[H\x1b[2J")
	}
	fmt.Fprintf(&b, "%s\n\n", w.Now().Format("2006-01-02 15:04:05"))
	if err := w.print(&b, &b, all, s, o); err != nil {
		return err
	}
	if !draw {
		b.WriteByte('\n')
	}
	_, err := w.Out.Write(b.Bytes())
	return err
}

// document is a sample for programs.
func (w World) document(all *Answers, s show) any {
	return output.Object("time", w.Now().UTC().Format(time.RFC3339Nano), s.word, all.Objects(), "errors", all.Errors())
}

// print prints a sample for people.
func (w World) print(out, errs io.Writer, all *Answers, s show, o output.Format) error {
	names := all.names()
	if o.Word != "wide" {
		names = slices.DeleteFunc(slices.Clone(s.narrow), func(name string) bool { return !slices.Contains(names, name) })
	}
	rows := [][]string{heads(names, all.Several())}
	err := all.Each(func(proxy string, values map[string]string) error {
		var row []string
		if all.Several() {
			row = append(row, table.Plain(proxy))
		}
		for _, name := range names {
			v, ok := values[name]
			if !ok || v == "" {
				v = "-"
			}
			row = append(row, table.Plain(v))
		}
		rows = append(rows, row)
		return nil
	})
	switch {
	case err != nil:
	case len(rows) == 1:
		_, err = fmt.Fprintf(errs, "There are no %s.\n", s.word)
	default:
		err = table.Print(out, rows)
	}
	if err != nil {
		return err
	}
	return all.PrintErrors(errs)
}

func heads(names []string, several bool) []string {
	var h []string
	if several {
		h = append(h, "PROXY")
	}
	for _, name := range names {
		h = append(h, strings.ToUpper(strings.ReplaceAll(name, "_", " ")))
	}
	return h
}

// names are the columns of all proxies: another version may have others.
func (a *Answers) names() []string {
	var names []string
	for _, p := range a.proxies {
		for _, c := range p.columns {
			if !slices.Contains(names, c.GetName()) {
				names = append(names, c.GetName())
			}
		}
	}
	return names
}
