package account

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/heliosproxy/heliosproxy/controlplane/cmd/helioctl/exit"
	"github.com/heliosproxy/heliosproxy/pkg/pgmd5"
	"github.com/heliosproxy/heliosproxy/pkg/resource"
	"github.com/heliosproxy/heliosproxy/pkg/scram"
)

// maxPassword is the longest password in bytes that is read: PostgreSQL's own limit for a client's.
const maxPassword = 65535

// secret are the flags that say what is stored and where it comes from.
type secret struct{ plain, md5, stdin bool }

func (s *secret) register(c *cobra.Command) {
	c.Flags().BoolVar(&s.plain, "plain", false, "store the password itself, with which the proxy can log in at servers")
	c.Flags().BoolVar(&s.md5, "md5", false, "store an md5 hash, for clients and servers that ask for md5")
	c.Flags().BoolVar(&s.stdin, "password-stdin", false, "read the password, one line, from the input")
}

func (s *secret) check(c *cobra.Command) error {
	if s.plain && s.md5 {
		return exit.Usage(errors.New("--plain and --md5 exclude each other"), c.CommandPath())
	}
	return nil
}

// of reads a password and makes of it what is stored.
func (s *secret) of(ctx context.Context, w World, name string) (string, error) {
	read := w.ask
	if s.stdin {
		read = w.line
	}
	password, err := read(ctx, name)
	if err != nil {
		return "", err
	}
	form, err := resource.FormOf(password)
	switch {
	case err != nil:
		return "", exit.Refused(fmt.Errorf("the password of %q: %w", name, err))
	case form == resource.SecretNone:
		return "", exit.Refused(fmt.Errorf("the password of %q is empty, nothing was changed", name))
	case form != resource.SecretPassword && s.plain, form == resource.SecretSCRAM && s.md5:
		return "", exit.Refused(fmt.Errorf("what was read for %q is no password but what PostgreSQL stores of one (%s): leave --plain and --md5 out", name, form))
	case form != resource.SecretPassword:
		return password, nil
	case s.plain:
		return password, nil
	case s.md5:
		return pgmd5.Hash(password, name), nil
	}
	keys, _ := scram.NewKeys(password)
	return keys.String(), nil
}

// line reads the password from the input.
func (w World) line(_ context.Context, name string) (string, error) {
	text, err := io.ReadAll(io.LimitReader(w.In, maxPassword+3))
	if err != nil {
		return "", exit.Refused(fmt.Errorf("read the password of %q: %w", name, err))
	}
	text = bytes.TrimSuffix(bytes.TrimSuffix(text, []byte("\n")), []byte("\r"))
	switch {
	case len(text) > maxPassword:
		return "", exit.Refused(fmt.Errorf("the password of %q has more than %d bytes", name, maxPassword))
	case bytes.IndexByte(text, '\n') >= 0:
		return "", exit.Refused(fmt.Errorf("the input has more than one line, and only one can be the password of %q", name))
	}
	return string(text), nil
}

// ask asks on the terminal, twice and without echo.
func (w World) ask(ctx context.Context, name string) (string, error) {
	f, ok := w.In.(*os.File)
	if !ok || !term.IsTerminal(int(f.Fd())) {
		return "", exit.Refused(errors.New("the input is not a terminal, so nobody can be asked for the password: --password-stdin reads it from the input"))
	}
	first, err := w.hidden(ctx, f, fmt.Sprintf("Password for %s: ", name))
	if err != nil {
		return "", err
	}
	again, err := w.hidden(ctx, f, "The same again: ")
	if err != nil {
		return "", err
	}
	if first != again {
		return "", exit.Refused(errors.New("the two passwords differ, nothing was changed"))
	}
	return first, nil
}

// hidden reads a line without echo. Whoever interrupts it gets his terminal back as it was.
func (w World) hidden(ctx context.Context, f *os.File, prompt string) (string, error) {
	fd := int(f.Fd())
	before, err := term.GetState(fd)
	if err != nil {
		return "", exit.Refused(fmt.Errorf("terminal: %w", err))
	}
	fmt.Fprint(w.Err, prompt)
	type answer struct {
		line []byte
		err  error
	}
	answered := make(chan answer, 1) // the reader outlives an interruption: nothing can wake it
	go func() {
		line, err := term.ReadPassword(fd)
		answered <- answer{line, err}
	}()
	select {
	case a := <-answered:
		fmt.Fprintln(w.Err)
		if a.err != nil {
			return "", exit.Refused(fmt.Errorf("read the password: %w", a.err))
		}
		return strings.TrimSuffix(string(a.line), "\r"), nil
	case <-ctx.Done():
		fmt.Fprintln(w.Err)
		err := term.Restore(fd, before)
		return "", exit.Refused(errors.Join(errors.New("interrupted, nothing was changed"), err))
	}
}
