package passwords

import (
	"errors"
	"fmt"
	"io"
	"os"
	"syscall"

	"github.com/heliosproxy/heliosproxy/pkg/pgpass"
	"github.com/heliosproxy/heliosproxy/pkg/program"
)

// Check says what this machine has against a source: warnings about what may become better by itself or is merely odd, and as
// an error what will not. A file that is renewed may come later; a passfile and a program have to be there.
func Check(s Source) (warnings []string, err error) {
	switch {
	case s.Passfile != "":
		_, problems, err := pgpass.ReadPassfile(s.Passfile)
		for _, p := range problems {
			warnings = append(warnings, p.String())
		}
		return warnings, err
	case s.File != "":
		if _, err := read(s.File); err != nil {
			warnings = append(warnings, fmt.Sprintf("%s: %v", s, err))
		}
		return warnings, nil
	case len(s.Command) > 0:
		if err := program.Check(s.Command); err != nil {
			return nil, fmt.Errorf("password command: %w", err)
		}
	}
	return nil, nil
}

// lookUp returns the password of the first line that fits in a passfile. As with libpq, an empty one is none.
func (f *Finder) lookUp(path string, to Login) (password string, ok bool, err error) {
	if err := f.take(f.reading); err != nil {
		return "", false, err
	}
	defer func() { <-f.reading }()
	file, _, err := pgpass.ReadPassfile(path)
	if err != nil {
		return "", false, err
	}
	password, ok = file.Lookup(to.Host, to.Port, to.Database, to.User)
	return password, ok && password != "", nil
}

// firstLineOf returns the first line of a file. It reads the file each time: a time stamp would miss a change within its grain.
func (f *Finder) firstLineOf(path string) (string, error) {
	if err := f.take(f.reading); err != nil {
		return "", err
	}
	defer func() { <-f.reading }()
	return read(path)
}

// take waits for one of the places.
func (f *Finder) take(places chan struct{}) error {
	select {
	case places <- struct{}{}:
		return nil
	case <-f.ctx.Done():
		return errClosed
	}
}

// read returns the first line of a file.
func read(path string) (string, error) {
	file, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0) // a pipe that nobody writes to holds nobody up
	if err != nil {
		return "", bare(err)
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return "", bare(err)
	}
	if !info.Mode().IsRegular() {
		return "", errors.New("is not a plain file")
	}
	text, err := io.ReadAll(io.LimitReader(file, maxText+1))
	if err != nil {
		return "", bare(err)
	}
	return firstLine(text)
}

// bare is an error without the path, which stands before it already.
func bare(err error) error {
	var pe *os.PathError
	if errors.As(err, &pe) {
		return pe.Err
	}
	return err
}
