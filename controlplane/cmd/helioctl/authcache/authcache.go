// Package authcache is helioctl's command that shows whom a proxy knows: users that databases were asked for, and those whose keys it keeps. It asks the proxy itself, and no secret comes over.
package authcache

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/heliosproxy/heliosproxy/controlplane/cmd/helioctl/exit"
	"github.com/heliosproxy/heliosproxy/controlplane/cmd/helioctl/output"
	"github.com/heliosproxy/heliosproxy/controlplane/cmd/helioctl/table"
	"github.com/heliosproxy/heliosproxy/pkg/bearer"
)

// World is what the command sees of the world.
type World struct {
	// Bounded is a context that ends after --timeout.
	Bounded   func(*cobra.Command) (context.Context, context.CancelFunc)
	TokenFile func() string // what --token-file says
	Out, Err  io.Writer
	Now       func() time.Time
}

const (
	defaultProxy = "http://127.0.0.1:9090"
	// maxAnswer bounds what is read of a proxy's answer: 10,000 users and keys with names of 63 bytes are some megabytes.
	maxAnswer = 16 << 20
)

// The proxy's answers.
type (
	known struct {
		Users     []knownUser `json:"users"`
		Keys      []keyOwner  `json:"keys"`
		MoreUsers int         `json:"moreUsers"`
		MoreKeys  int         `json:"moreKeys"`
	}
	knownUser struct {
		Cluster  string     `json:"cluster"`
		Database string     `json:"database"`
		User     string     `json:"user"`
		Asked    time.Time  `json:"asked"`
		Until    *time.Time `json:"until"`
		Secret   string     `json:"secret"`
		Key      bool       `json:"key"`
	}
	keyOwner struct {
		Cluster string `json:"cluster"`
		User    string `json:"user"`
	}
	forgotten struct {
		Users int `json:"users"`
		Keys  int `json:"keys"`
	}
)

// Command is `helioctl auth cache`.
func Command(w World) *cobra.Command {
	var proxy, user, forget string
	var limit uint32
	var o output.Format
	c := &cobra.Command{
		Use:   "cache --proxy URL",
		Short: "Show whom a proxy knows: users that databases were asked for, and whose keys it keeps",
		Long: `Show whom a proxy knows: users that databases were asked for (auth_query), and those whose keys it keeps, which they have proved to
have by SCRAM and with which it opens server connections. No secret is shown. The proxy is asked itself, at its admin address;
--token-file is the file of the token that it asks for (proxy.admin_token, --admin-token-file).

With --forget it forgets a user: its database is asked for it again, and no server connection is opened with its key until it has
logged in again. Sessions that are in stay.`,
		Example: `  helioctl auth cache --proxy http://127.0.0.1:9090
  helioctl auth cache --proxy http://127.0.0.1:9090 --token-file admin.token --forget ann`,
		Args:              exit.Args(cobra.NoArgs),
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(c *cobra.Command, _ []string) error {
			if err := o.Check("json", "yaml"); err != nil {
				return err
			}
			if c.Flags().Changed("forget") && (forget == "" || user != "") {
				return exit.Usage(errors.New("--forget wants the name of a user, and no --user beside it"), c.CommandPath())
			}
			d, err := w.door(c, proxy)
			if err != nil {
				return err
			}
			ctx, stop := w.Bounded(c)
			defer stop()
			if c.Flags().Changed("forget") {
				return w.forget(ctx, d, forget, o)
			}
			q := url.Values{"limit": {fmt.Sprint(limit)}}
			if user != "" {
				q.Set("user", user)
			}
			var k known
			if err := d.ask(ctx, http.MethodGet, q, &k); err != nil {
				return err
			}
			return w.show(&k, o)
		},
	}
	c.Flags().StringVar(&proxy, "proxy", defaultProxy, "the proxy's admin address, as a URL")
	c.Flags().StringVar(&user, "user", "", "only this user")
	c.Flags().Uint32Var(&limit, "limit", 1000, "at most so many users and keys, up to 10000")
	c.Flags().StringVar(&forget, "forget", "", "forget this user")
	for _, name := range []string{"proxy", "user", "forget", "limit"} {
		cobra.CheckErr(c.RegisterFlagCompletionFunc(name, cobra.NoFileCompletions))
	}
	o.Register(c, "json", "yaml")
	return c
}

// door is the admin address of a proxy.
type door struct{ url, token string }

// door reads where a proxy is. The control plane's token is not the proxy's: only the one that the flag names is sent.
func (w World) door(c *cobra.Command, proxy string) (door, error) {
	u, err := url.Parse(proxy)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" || u.RawQuery != "" || u.User != nil {
		return door{}, exit.Usage(fmt.Errorf("--proxy %s is not a URL as %s", proxy, defaultProxy), c.CommandPath())
	}
	d := door{url: strings.TrimSuffix(u.String(), "/")}
	if w.TokenFile() == "" {
		return d, nil
	}
	if u.Scheme == "http" && !loopback(u) {
		return door{}, exit.Refused(fmt.Errorf("--proxy %s is not a loopback address, and a token would travel in clear text: use https, or a tunnel to that machine", proxy))
	}
	if d.token, err = bearer.Read(w.TokenFile()); err != nil {
		return door{}, exit.Refused(fmt.Errorf("--token-file: %w", err))
	}
	return d, nil
}

// loopback says whether only this machine is at a URL.
func loopback(u *url.URL) bool {
	port := u.Port()
	if port == "" {
		port = "80"
	}
	host := u.Hostname()
	if strings.Contains(host, ":") {
		host = "[" + host + "]"
	}
	return bearer.Loopback(host+":"+port) == nil
}

// ask asks the proxy, and reads the answer into a value.
func (d door) ask(ctx context.Context, method string, q url.Values, into any) error {
	r, err := http.NewRequestWithContext(ctx, method, d.url+"/auth/cache?"+q.Encode(), nil)
	if err != nil {
		return exit.Refused(err)
	}
	if d.token != "" {
		r.Header.Set("Authorization", "Bearer "+d.token)
	}
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	a, err := client.Do(r)
	if err != nil {
		var wrapped *url.Error
		if errors.As(err, &wrapped) {
			err = wrapped.Err
		}
		return exit.Unreachable(fmt.Errorf("the proxy at %s is not reached: %w: does it run, and is that its admin address (proxy.admin_address, --admin-address)?", d.url, err))
	}
	defer a.Body.Close()
	body, err := io.ReadAll(io.LimitReader(a.Body, maxAnswer))
	if err != nil {
		return exit.Unreachable(fmt.Errorf("the answer of the proxy at %s: %w", d.url, err))
	}
	if a.StatusCode != http.StatusOK {
		return d.refusal(a.StatusCode, body)
	}
	if err := json.Unmarshal(body, into); err != nil {
		return exit.Refused(fmt.Errorf("what answers at %s is no proxy: %w", d.url, err))
	}
	return nil
}

// refusal says why a proxy has not answered what it was asked.
func (d door) refusal(code int, body []byte) error {
	var said struct{ Error string }
	_ = json.Unmarshal(body, &said) // an answer without it is told by its code
	switch {
	case code == http.StatusUnauthorized && d.token == "":
		return exit.Refused(fmt.Errorf("the proxy at %s asks for its admin token: --token-file FILE", d.url))
	case code == http.StatusUnauthorized:
		return exit.Refused(fmt.Errorf("the token of --token-file is not the admin token of the proxy at %s", d.url))
	case code == http.StatusNotFound:
		return exit.Refused(fmt.Errorf("the proxy at %s does not know this: it is older than helioctl, or something else answers there", d.url))
	case said.Error != "":
		return exit.Refused(fmt.Errorf("the proxy at %s: %s", d.url, said.Error))
	}
	return exit.Refused(fmt.Errorf("the proxy at %s answers %d %s", d.url, code, http.StatusText(code)))
}

func (w World) forget(ctx context.Context, d door, user string, o output.Format) error {
	var f forgotten
	if err := d.ask(ctx, http.MethodDelete, url.Values{"user": {user}}, &f); err != nil {
		return err
	}
	if o.Word != "" {
		return o.Print(w.Out, output.Object("user", user, "users", f.Users, "keys", f.Keys))
	}
	if f.Users+f.Keys == 0 {
		_, err := fmt.Fprintf(w.Out, "the proxy knew nothing of %s\n", user)
		return err
	}
	_, err := fmt.Fprintf(w.Out, "%s is forgotten: %s, %s\n", user, count(f.Users, "answer of a database", "answers of databases"), count(f.Keys, "key", "keys"))
	return err
}

func count(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}

// show prints users, and then those of whom only a key is known: the configuration has their secrets.
func (w World) show(k *known, o output.Format) error {
	if o.Word != "" {
		return o.Print(w.Out, k)
	}
	now := w.Now()
	rows := [][]string{{"CLUSTER", "DATABASE", "USER", "SECRET", "AGE", "UNTIL", "KEY"}}
	listed := map[keyOwner]bool{}
	for _, u := range k.Users {
		until, key := "-", "no"
		if u.Until != nil {
			until = u.Until.In(now.Location()).Format("2006-01-02 15:04:05")
			if !now.Before(*u.Until) {
				until += " (over)"
			}
		}
		if u.Key {
			key = "kept"
		}
		listed[keyOwner{u.Cluster, u.User}] = true
		rows = append(rows, []string{table.Plain(u.Cluster), table.Plain(u.Database), table.Plain(u.User), u.Secret, table.Age(now, timestamppb.New(u.Asked)), until, key})
	}
	for _, owner := range k.Keys {
		if !listed[owner] {
			rows = append(rows, []string{table.Plain(owner.Cluster), "-", table.Plain(owner.User), "(configured)", "-", "-", "kept"})
		}
	}
	if len(rows) == 1 {
		_, err := fmt.Fprintln(w.Err, "The proxy has looked up nobody, and keeps no key.")
		return err
	}
	if err := table.Print(w.Out, rows); err != nil {
		return err
	}
	if k.MoreUsers+k.MoreKeys > 0 {
		_, err := fmt.Fprintf(w.Err, "There are %d users and %d keys more: --limit N shows more, --user NAME one.\n", k.MoreUsers, k.MoreKeys)
		return err
	}
	return nil
}
