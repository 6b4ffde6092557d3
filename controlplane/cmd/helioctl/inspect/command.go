// Package inspect is helioctl's command that looks into certificates, keys and revocation lists, in files and at listeners and servers that speak TLS. It never logs in anywhere, and never shows a key.
package inspect

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/heliosproxy/heliosproxy/controlplane/cmd/helioctl/exit"
	"github.com/heliosproxy/heliosproxy/controlplane/cmd/helioctl/output"
	"github.com/heliosproxy/heliosproxy/pkg/tlsconf"
)

// World is what the command sees of the world.
type World struct {
	// Bounded is a context that ends after --timeout.
	Bounded func(*cobra.Command) (context.Context, context.CancelFunc)
	Out     io.Writer
	Now     func() time.Time
}

// flags are those of `helioctl cert inspect`.
type flags struct {
	ca, crl, key, passwordFile string
	direct                     bool
	output                     output.Format
}

// Command is `helioctl cert inspect`.
func Command(w World) *cobra.Command {
	var f flags
	c := &cobra.Command{
		Use:   "inspect FILE|HOST:PORT...",
		Short: "Show what certificates, keys and revocation lists say, and whether they hold",
		Long: `Show what certificates, keys and revocation lists say, and whether they hold. FILE is PEM. HOST:PORT is a listener of a proxy
or a PostgreSQL server, which is asked for TLS as a client asks, and shows its certificate; nobody is logged in.

The exit code is 0 if all of it holds: nothing has expired or is not yet valid, with --ca each chain leads to one of these
authorities, and with --key the first certificate belongs to it. Else it is 1, and 4 if a host is not reached.`,
		Example: `  helioctl cert inspect server.crt --key server.key --ca ca.crt
  helioctl cert inspect db1.example.com:5432 proxy.example.com:6432 --ca ca.crt`,
		Args: func(c *cobra.Command, given []string) error {
			if len(given) == 0 {
				return exit.Usage(errors.New("want FILE or HOST:PORT"), c.CommandPath())
			}
			return nil
		},
		RunE: func(c *cobra.Command, given []string) error { return w.run(c, given, &f) },
	}
	fs := c.Flags()
	fs.StringVar(&f.ca, "ca", "", "authorities, PEM, that certificates are verified with; system is those that this machine trusts")
	fs.StringVar(&f.crl, "crl", "", "with --ca: revocation lists, PEM, one of each authority in a chain")
	fs.StringVar(&f.key, "key", "", "the private key, PEM, that the first certificate of each FILE or HOST:PORT should belong to")
	fs.StringVar(&f.passwordFile, "key-password-file", "", "a file with what keys are encrypted with")
	fs.BoolVar(&f.direct, "direct", false, "begin TLS at once, as sslnegotiation=direct, without asking for it")
	f.output.Register(c, "json", "yaml")
	return c
}

func (w World) run(c *cobra.Command, given []string, f *flags) error {
	if err := f.output.Check("json", "yaml"); err != nil {
		return err
	}
	if f.crl != "" && f.ca == "" {
		return exit.Usage(errors.New("--crl goes with --ca: without authorities nothing is verified"), c.CommandPath())
	}
	l, err := newLook(f, w.Now())
	if err != nil {
		return exit.Refused(err)
	}
	var reports []*Report
	var all error // of those that cannot be looked at: the others are shown all the same
	away := false
	for _, target := range given {
		r, err := w.report(c, l, target, f.direct)
		if err != nil {
			away = away || errors.As(err, new(exit.UnreachableError))
			all = errors.Join(all, err)
			continue
		}
		reports = append(reports, r)
	}
	if err := w.show(reports, f.output); err != nil {
		return err
	}
	if away {
		return exit.Unreachable(all)
	}
	if all != nil {
		return exit.Refused(all)
	}
	for _, r := range reports {
		if !r.Good {
			return exit.Silently(exit.CodeRefused)
		}
	}
	return nil
}

func (w World) show(reports []*Report, o output.Format) error {
	if o.Word != "" {
		if reports == nil {
			reports = []*Report{}
		}
		return o.Print(w.Out, reports)
	}
	for i, r := range reports {
		if i > 0 {
			fmt.Fprintln(w.Out)
		}
		if err := r.print(w.Out); err != nil {
			return err
		}
	}
	return nil
}

// report looks at a file, or at a host if there is no such file.
func (w World) report(c *cobra.Command, l *look, target string, direct bool) (*Report, error) {
	_, err := os.Stat(target)
	host, port, notHost := net.SplitHostPort(target)
	if notHost == nil && host != "" && port != "" && errors.Is(err, os.ErrNotExist) {
		ctx, stop := w.Bounded(c)
		defer stop()
		seen, chain, err := meet(ctx, host, target, direct)
		if err != nil {
			return nil, err
		}
		return l.live(target, host, seen, chain), nil
	}
	if err != nil {
		return nil, exit.Refused(fmt.Errorf("%w, and it is not HOST:PORT", err))
	}
	content, err := read(target)
	if err != nil {
		return nil, exit.Refused(err)
	}
	r, err := l.file(target, content)
	if err != nil {
		return nil, exit.Refused(fmt.Errorf("%s: %w", target, err))
	}
	return r, nil
}

// maxFile is the most that is read of a file.
const maxFile = 64 << 20

func read(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	content, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return nil, err
	}
	if len(content) > maxFile {
		return nil, fmt.Errorf("%s has more than %d bytes", path, maxFile)
	}
	return content, nil
}

// newLook reads what certificates are held against.
func newLook(f *flags, now time.Time) (*look, error) {
	l := &look{now: now, ca: f.ca, keyFile: f.key}
	var err error
	if f.ca != "" {
		if l.authorities, err = new(tlsconf.Files).LoadAuthorities(f.ca, f.crl); err != nil {
			return nil, err
		}
	}
	if f.passwordFile != "" {
		text, err := read(f.passwordFile)
		if err != nil {
			return nil, err
		}
		l.password = tlsconf.Password(firstLine(text))
	}
	if f.key != "" {
		text, err := read(f.key)
		if err != nil {
			return nil, err
		}
		if l.key, err = public(text, l.password); err != nil {
			return nil, fmt.Errorf("%s: %w", f.key, err)
		}
	}
	return l, nil
}
