// Package pgcluster runs real PostgreSQL servers for tests: a primary and its streaming standbys, gone when the test is.
// It never touches a server that it did not start, and nothing outside its own directory, in memory where there is room for it.
//
// A data directory is initialised once a machine and version and copied for every server, so a cluster is up in some
// hundred milliseconds. Servers listen on loopback and on a unix socket, do not fsync, and are killed by the kernel when the
// test process dies.
package pgcluster

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"
)

// A Cluster is a primary and its standbys. The superuser is postgres; by default everybody is trusted.
type Cluster struct {
	Primary  *Server
	Standbys []*Server

	dir   string
	alive *os.File
}

// Start starts a cluster for the length of a test. When the test fails, what the servers logged last is shown.
func Start(t testing.TB, o Options) *Cluster {
	t.Helper()
	c, err := New(o)
	if err != nil {
		t.Fatalf("start PostgreSQL: %v", err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			for _, s := range c.servers() {
				t.Logf("%s logged last:\n%s", s.name, s.logTail())
			}
		}
		if err := c.Close(); err != nil {
			t.Errorf("stop PostgreSQL: %v", err)
		}
	})
	return c
}

// New is Start for a cluster that outlives a test, as from TestMain: whoever calls it calls Close.
func New(o Options) (*Cluster, error) {
	in, err := findInstall()
	if err != nil {
		return nil, err
	}
	h, err := openHome(in)
	if err != nil {
		return nil, err
	}
	template, err := h.template()
	if err != nil {
		return nil, err
	}
	c := &Cluster{}
	if c.dir, c.alive, err = h.newRun(); err != nil {
		return nil, fmt.Errorf("directory for a cluster: %w", err)
	}
	if err := c.start(in, template, o); err != nil {
		return nil, errors.Join(err, c.Close())
	}
	return c, nil
}

// start makes all servers from the template and starts them side by side. As the template was never started, every copy
// of it is at the same place in the same history: a standby needs no base backup.
func (c *Cluster) start(in *install, template string, o Options) (err error) {
	if c.Primary, err = newServer(in, c.dir, "primary", nil); err != nil {
		return err
	}
	for i := range o.Standbys {
		s, err := newServer(in, c.dir, fmt.Sprintf("standby%d", i+1), c.Primary)
		if err != nil {
			return err
		}
		c.Standbys = append(c.Standbys, s)
	}
	err = c.each(func(s *Server) error {
		if err := s.prepare(template, o); err != nil {
			return err
		}
		return s.start()
	})
	if err != nil {
		return err
	}
	return c.awaitStreaming()
}

// awaitStreaming returns when every standby has caught up, so that the first write of a test is replicated.
func (c *Cluster) awaitStreaming() error {
	if len(c.Standbys) == 0 {
		return nil
	}
	return poll(startTimeout, func() (bool, error) {
		rows, err := c.Primary.query("select count(*) from pg_stat_replication where state = 'streaming'")
		if err != nil {
			return false, err
		}
		return rows[0][0] == fmt.Sprint(len(c.Standbys)), nil
	})
}

// Close stops all servers and removes their data. It may be called more than once.
func (c *Cluster) Close() error {
	err := c.each((*Server).stop)
	for _, s := range c.servers() {
		s.port.Release()
	}
	err = errors.Join(err, os.RemoveAll(c.dir))
	c.alive.Close()
	return err
}

// Dir returns the cluster's directory; it is also where the unix sockets are.
func (c *Cluster) Dir() string { return filepath.Clean(c.dir) }

func (c *Cluster) servers() []*Server {
	if c.Primary == nil {
		return nil
	}
	return append([]*Server{c.Primary}, c.Standbys...)
}

// each runs f for all servers at once.
func (c *Cluster) each(f func(*Server) error) error {
	servers := c.servers()
	errs := make([]error, len(servers))
	var wg sync.WaitGroup
	for i, s := range servers {
		wg.Go(func() {
			if err := f(s); err != nil {
				errs[i] = fmt.Errorf("%s: %w", s.name, err)
			}
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}
