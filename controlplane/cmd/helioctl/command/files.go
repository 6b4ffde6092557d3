package command

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/heliosproxy/heliosproxy/controlplane/cmd/helioctl/exit"
	"github.com/heliosproxy/heliosproxy/pkg/manifest"
)

// readFiles reads the manifests of files, of directories (their .yaml, .yml and .json files, not of those below)
// and of "-", which is the input. All that is wrong is told at once.
func (s *session) readFiles(names []string) ([]manifest.Document, error) {
	if len(names) == 0 {
		return nil, exit.Usage(errors.New("-f FILE is missing"), "helioctl")
	}
	var docs []manifest.Document
	var problems []manifest.Problem
	for _, name := range names {
		paths, err := expand(name)
		if err != nil {
			return nil, exit.Refused(err)
		}
		for _, path := range paths {
			data, err := s.readFile(path)
			if err != nil {
				return nil, exit.Refused(err)
			}
			ds, err := manifest.Parse(path, data)
			var invalid *manifest.InvalidError
			if errors.As(err, &invalid) {
				problems = append(problems, invalid.Problems...)
			}
			docs = append(docs, ds...)
		}
	}
	if len(problems) > 0 {
		return nil, &manifest.InvalidError{Problems: problems}
	}
	if len(docs) == 0 {
		return nil, exit.Refused(fmt.Errorf("there are no resources in %s", strings.Join(names, ", ")))
	}
	s.places.add(docs)
	return docs, nil
}

func (s *session) readFile(path string) ([]byte, error) {
	if path == "-" {
		return io.ReadAll(s.In)
	}
	return os.ReadFile(path)
}

// expand returns the files of a directory, or the file itself.
func expand(name string) ([]string, error) {
	if name == "-" {
		return []string{name}, nil
	}
	info, err := os.Stat(name)
	if err != nil {
		return nil, err
	}
	if !info.IsDir() {
		return []string{name}, nil
	}
	entries, err := os.ReadDir(name)
	if err != nil {
		return nil, err
	}
	var files []string
	for _, e := range entries {
		switch filepath.Ext(e.Name()) {
		case ".yaml", ".yml", ".json":
			if !e.IsDir() {
				files = append(files, filepath.Join(name, e.Name()))
			}
		}
	}
	if len(files) == 0 {
		return nil, fmt.Errorf("%s has no .yaml, .yml or .json files", name)
	}
	return files, nil
}
