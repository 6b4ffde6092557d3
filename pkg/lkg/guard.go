package lkg

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
)

// guardFile notes which content a process was started with, and which have ended processes.
const guardFile = "boots.json"

const (
	// fatalFaults and fatalEnds are after how many starts in a row a content is bad: the process ended soon
	// after by a fault of its own, or in another way that may be nobody's fault, as kill -9 is.
	fatalFaults, fatalEnds = 2, 5
	// maxBad is how many bad contents are remembered.
	maxBad = 32
)

// guard is what the file holds.
type guard struct {
	Booting string   `json:"booting,omitempty"` // the hash of the content that a start is under way with
	Content string   `json:"content,omitempty"` // what faults and ends are counted of
	Faults  int      `json:"faults,omitempty"`
	Ends    int      `json:"ends,omitempty"`
	Bad     []string `json:"bad,omitempty"`
}

// guard reads the file. Where it is not there or damaged nothing is held against any content.
func (d *Dir) guard() (guard, error) {
	b, err := os.ReadFile(filepath.Join(d.path, guardFile))
	if errors.Is(err, fs.ErrNotExist) {
		return guard{}, nil
	}
	if err != nil {
		return guard{}, fmt.Errorf("crash guard: %w", err)
	}
	var g guard
	if json.Unmarshal(b, &g) != nil {
		return guard{}, nil
	}
	return g, nil
}

func (d *Dir) saveGuard(g guard) error {
	b, err := json.Marshal(g)
	if err == nil {
		err = d.write(guardFile, b)
	}
	if err != nil {
		return fmt.Errorf("crash guard: %w", err)
	}
	return nil
}

// Starting is called first in a process. fault says that the one before ended by a fault of its own. Where
// that was soon after its start it counts against the content that it was started with.
func (d *Dir) Starting(fault bool) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	g, err := d.guard()
	if err != nil || g.Booting == "" {
		return err
	}
	if g.Content != g.Booting {
		g.Content, g.Faults, g.Ends = g.Booting, 0, 0
	}
	g.Booting = ""
	if g.Ends++; fault {
		g.Faults++
	}
	if g.Faults >= fatalFaults || g.Ends >= fatalEnds {
		g.Bad = append(g.Bad, g.Content)
		g.Bad = g.Bad[max(0, len(g.Bad)-maxBad):]
		g.Content, g.Faults, g.Ends = "", 0, 0
	}
	return d.saveGuard(g)
}

// Booting notes that a content is about to be put in force at the start of a process.
func (d *Dir) Booting(hash string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	g, err := d.guard()
	if err != nil {
		return err
	}
	g.Booting = hash
	return d.saveGuard(g)
}

// Stable notes that the process lives with what it was started with, or ends because it was asked to.
func (d *Dir) Stable() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	g, err := d.guard()
	if err != nil || g.Booting == "" && g.Content == "" {
		return err
	}
	return d.saveGuard(guard{Bad: g.Bad})
}

// Bad says whether a content has ended the processes that were started with it.
func (d *Dir) Bad(hash string) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	g, err := d.guard()
	return err == nil && slices.Contains(g.Bad, hash)
}
