// Package authcache is helioctl's command that shows whom proxies know: users that databases were asked for, and those whose keys they keep. No secret comes over, and it never knows how proxies are asked.
package authcache

import (
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/heliosproxy/heliosproxy/controlplane/cmd/helioctl/console"
	"github.com/heliosproxy/heliosproxy/controlplane/cmd/helioctl/exit"
	"github.com/heliosproxy/heliosproxy/controlplane/cmd/helioctl/output"
	"github.com/heliosproxy/heliosproxy/controlplane/cmd/helioctl/table"
)

// stamp is how a console shows a time.
const stamp = "2006-01-02 15:04:05 UTC"

// Command is `helioctl auth cache`.
func Command(w console.World) *cobra.Command {
	var t console.Target
	var user, forget string
	var o output.Format
	c := &cobra.Command{
		Use:   "cache",
		Short: "Show whom proxies know: users that databases were asked for, and whose keys they keep",
		Long: `Show whom proxies know: users that databases were asked for (auth_query), and those whose keys they keep, which they have proved to
have by SCRAM and with which the proxies open server connections. No secret is shown. It is what SHOW AUTH_CACHE says on a console.

With --forget they forget a user: its database is asked for it again, and no server connection is opened with its key until it has
logged in again. Sessions that are in stay.`,
		Example: `  helioctl auth cache
  helioctl auth cache --proxy proxy-1 --user ann
  helioctl auth cache --forget ann`,
		Args:              exit.Args(cobra.NoArgs),
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(c *cobra.Command, _ []string) error {
			if err := o.Check("json", "yaml"); err != nil {
				return err
			}
			if c.Flags().Changed("forget") && (forget == "" || user != "") {
				return exit.Usage(errors.New("--forget wants the name of a user, and no --user beside it"), c.CommandPath())
			}
			text, show := "SHOW AUTH_CACHE", list
			switch {
			case forget != "":
				text, show = "FORGET "+console.Quoted(forget), func(w console.World, all *console.Answers) error { return forgotten(w, all, forget) }
			case user != "":
				text += " " + console.Quoted(user)
			}
			all, err := w.Run(c, t, text)
			if err != nil {
				return err
			}
			if o.Word != "" {
				err = o.Print(w.Out, output.Object("proxies", all.Objects(), "errors", all.Errors()))
			} else if err = show(w, all); err == nil {
				err = all.PrintErrors(w.Err)
			}
			if err != nil {
				return err
			}
			return all.Exit()
		},
	}
	t.Register(c, w.CompleteProxy)
	c.Flags().StringVar(&user, "user", "", "only this user")
	c.Flags().StringVar(&forget, "forget", "", "forget this user")
	for _, name := range []string{"user", "forget"} {
		cobra.CheckErr(c.RegisterFlagCompletionFunc(name, cobra.NoFileCompletions))
	}
	o.Register(c, "json", "yaml")
	return c
}

// forgotten says what each proxy has forgotten.
func forgotten(w console.World, all *console.Answers, user string) error {
	return all.Each(func(proxy string, row map[string]string) error {
		said := fmt.Sprintf("%s: it knew nothing of %s", table.Plain(proxy), table.Plain(user))
		if row["answers"] != "0" || row["keys"] != "0" {
			said = fmt.Sprintf("%s: %s is forgotten: %s, %s", table.Plain(proxy), table.Plain(user),
				count(row["answers"], "answer of a database", "answers of databases"), count(row["keys"], "key", "keys"))
		}
		_, err := fmt.Fprintln(w.Out, said)
		return err
	})
}

func count(n, one, many string) string {
	if n == "1" {
		return "1 " + one
	}
	return n + " " + many
}

// list prints users, and then those of whom only a key is known: the configuration has their secrets.
func list(w console.World, all *console.Answers) error {
	now := w.Now()
	rows := [][]string{{"CLUSTER", "DATABASE", "USER", "SECRET", "AGE", "UNTIL", "KEY"}}
	if all.Several() {
		rows[0] = append([]string{"PROXY"}, rows[0]...)
	}
	err := all.Each(func(proxy string, k map[string]string) error {
		age, until, key := "-", "-", "no"
		if asked, err := time.Parse(stamp, k["asked"]); err == nil {
			age = table.Age(now, timestamppb.New(asked))
		}
		if end, err := time.Parse(stamp, k["until"]); err == nil {
			until = end.In(now.Location()).Format("2006-01-02 15:04:05")
			if !now.Before(end) {
				until += " (over)"
			}
		}
		if k["key"] == "yes" {
			key = "kept"
		}
		database, secret := table.Plain(k["database"]), k["secret"]
		if database == "" {
			database, secret = "-", "(configured)"
		}
		row := []string{table.Plain(k["cluster"]), database, table.Plain(k["user"]), secret, age, until, key}
		if all.Several() {
			row = append([]string{table.Plain(proxy)}, row...)
		}
		rows = append(rows, row)
		return nil
	})
	if err != nil {
		return err
	}
	if len(rows) == 1 {
		_, err := fmt.Fprintln(w.Err, "Nobody was looked up, and no key is kept.")
		return err
	}
	return table.Print(w.Out, rows)
}
