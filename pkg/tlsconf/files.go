package tlsconf

import (
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"sync"
	"syscall"
	"time"
	"weak"
)

// maxFile bounds what is read of one file, in bytes. Revocation lists of great authorities have some megabytes.
const maxFile = 64 << 20

// Files loads servers and clients, and lets all of them that name files of the same content share what was parsed. The zero value is ready. Several goroutines may use it.
type Files struct {
	authorities shared[authorities]
	revocations shared[revocations]

	// What tests set; nil is time.Now and x509.SystemCertPool.
	clock  func() time.Time
	system func() (*x509.CertPool, error)
}

func (f *Files) now() time.Time {
	if f.clock != nil {
		return f.clock()
	}
	return time.Now()
}

// systemAuthorities are those that the machine trusts. crypto/x509 reads them once in the life of the process.
func (f *Files) systemAuthorities() (*authorities, error) {
	system := f.system
	if system == nil {
		system = x509.SystemCertPool
	}
	pool, err := system()
	if err != nil {
		return nil, fmt.Errorf("authorities of the system: %w", err)
	}
	return &authorities{roots: pool, others: x509.NewCertPool()}, nil
}

// shared holds what was parsed from files by their content, as long as somebody else holds it too.
type shared[T any] struct {
	mu   sync.Mutex
	held map[[sha256.Size]byte]weak.Pointer[T]
}

// get returns what parse makes of the content, or has made of it before.
func (s *shared[T]) get(content []byte, parse func([]byte) (*T, error)) (*T, error) {
	sum := sha256.Sum256(content)
	s.mu.Lock()
	defer s.mu.Unlock()
	if v := s.held[sum].Value(); v != nil {
		return v, nil
	}
	v, err := parse(content)
	if err != nil {
		return nil, err
	}
	if s.held == nil {
		s.held = map[[sha256.Size]byte]weak.Pointer[T]{}
	}
	for sum, p := range s.held {
		if p.Value() == nil {
			delete(s.held, sum) // nobody has it any more
		}
	}
	s.held[sum] = weak.Make(v)
	return v, nil
}

// A stamp is what a path led to, through symbolic links, before it was read.
type stamp struct {
	path string
	info fs.FileInfo // nil: it could not be looked at
}

func newStamp(path string) (stamp, error) {
	info, err := os.Stat(path)
	if err != nil {
		return stamp{path: path}, err
	}
	return stamp{path, info}, nil
}

// stale says that the path leads to something else now. The mode and the owner count, as they decide whether a key may be read.
func (s stamp) stale() bool {
	now, _ := newStamp(s.path)
	if s.info == nil || now.info == nil {
		return s.info != now.info
	}
	return !os.SameFile(s.info, now.info) || s.info.Size() != now.info.Size() || !s.info.ModTime().Equal(now.info.ModTime()) ||
		s.info.Mode() != now.info.Mode() || owner(s.info) != owner(now.info)
}

func owner(info fs.FileInfo) (uid uint32) {
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		return st.Uid
	}
	return 0
}

// A reading reads the files of one spec and remembers what they were.
type reading struct{ stamps []stamp }

// read returns the content of a file; what names it in errors, such as "certificate". allowed, which may be nil, says why the file may not be used.
func (r *reading) read(what, path string, allowed func(fs.FileInfo) error) ([]byte, error) {
	s, err := newStamp(path)
	r.stamps = append(r.stamps, s)
	wrap := func(err error) error {
		var pathErr *fs.PathError
		if errors.As(err, &pathErr) {
			err = pathErr.Err // the path is said already
		}
		return fmt.Errorf("%s file %q: %w", what, path, err)
	}
	tooBig := fmt.Errorf("it has more than %d bytes", maxFile)
	switch {
	case err != nil:
		return nil, wrap(err)
	case !s.info.Mode().IsRegular():
		return nil, wrap(errors.New("it is not a regular file"))
	case s.info.Size() > maxFile:
		return nil, wrap(tooBig)
	case allowed != nil:
		if err := allowed(s.info); err != nil {
			return nil, wrap(err)
		}
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, wrap(err)
	}
	defer f.Close()
	content, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return nil, wrap(err)
	}
	if len(content) > maxFile { // it has grown
		return nil, wrap(tooBig)
	}
	return content, nil
}

// private is libpq's rule for a file with a private key.
func private(info fs.FileInfo) error {
	refused := fs.FileMode(0o077)
	if owner(info) == 0 {
		refused = 0o037
	}
	if info.Mode().Perm()&refused != 0 {
		return errors.New("it has group or world access; it must have permissions u=rw (0600) or less if owned by the current user, " +
			"or permissions u=rw,g=r (0640) or less if owned by root")
	}
	return nil
}
