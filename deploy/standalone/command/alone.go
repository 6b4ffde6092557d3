package command

import (
	"errors"
	"os"

	"github.com/spf13/cobra"

	"github.com/heliosproxy/heliosproxy/controlplane/configfile"
	"github.com/heliosproxy/heliosproxy/pkg/hba"
	"github.com/heliosproxy/heliosproxy/pkg/manifest"
	"github.com/heliosproxy/heliosproxy/pkg/pgpass"
	"github.com/heliosproxy/heliosproxy/pkg/resource"
)

// alone is a file that is checked without a configuration that names it.
type alone struct{ hba, ident, users, passfile, resources string }

func (a *alone) register(c *cobra.Command) {
	for flag, x := range a.all() {
		c.Flags().StringVar(x.path, flag, "", x.what+" in place of a configuration")
	}
}

// form is a kind of file.
type form struct {
	path *string
	what string
	read func(path string, text []byte) configfile.Findings
}

// all are the kinds, by flag.
func (a *alone) all() map[string]form {
	return map[string]form{
		"hba":       {&a.hba, "a pg_hba.conf", readRules},
		"ident":     {&a.ident, "a pg_ident.conf", readMaps},
		"auth-file": {&a.users, "a userlist.txt", readUsers},
		"passfile":  {&a.passfile, "a .pgpass", readPassfile},
		"resources": {&a.resources, "resources as helioctl apply takes them", readResources},
	}
}

// given is the one that is asked for; ok is false where none is.
func (a *alone) given() (f form, ok bool, err error) {
	for _, x := range a.all() {
		if *x.path == "" {
			continue
		}
		if ok {
			return f, false, errors.New("one file is checked at a time")
		}
		f, ok = x, true
	}
	return f, ok, nil
}

// check says what is wrong with the file.
func (f form) check() (configfile.Findings, error) {
	text, err := os.ReadFile(*f.path)
	if err != nil {
		return nil, err
	}
	return f.read(*f.path, text), nil
}

func wrong(file string, line int, key, reason string) configfile.Finding {
	return configfile.Finding{File: file, Line: line, Key: key, Sentence: reason, Severity: configfile.Error}
}

func readRules(path string, text []byte) (all configfile.Findings) {
	rules, problems := hba.Parse(path, text, hba.Options{ReadFile: os.ReadFile, ReadDir: os.ReadDir, Lack: hba.Needs{Roles: true}})
	if rules != nil {
		problems = append(problems, resource.NotServed(rules, true)...) // the program that judges pam is named elsewhere
	}
	for _, p := range problems {
		all = append(all, wrong(p.File, p.Line, "hba", p.Reason))
	}
	return all
}

func readMaps(path string, text []byte) (all configfile.Findings) {
	_, problems := hba.ParseIdent(path, text, hba.Options{ReadFile: os.ReadFile, ReadDir: os.ReadDir})
	for _, p := range problems {
		all = append(all, wrong(p.File, p.Line, "ident", p.Reason))
	}
	return all
}

func readUsers(path string, text []byte) (all configfile.Findings) {
	_, problems := pgpass.ParseUserlist(path, text)
	for _, p := range problems {
		f := wrong(p.File, p.Line, "auth_file", p.Reason)
		if p.Works {
			f.Severity = configfile.Warning
		}
		all = append(all, f)
	}
	return all
}

func readPassfile(path string, text []byte) (all configfile.Findings) {
	_, problems := pgpass.ParsePassfile(path, text)
	for _, p := range problems {
		all = append(all, wrong(p.File, p.Line, "passfile", p.Reason))
	}
	return all
}

// readResources also says what is wrong with the resources together, as if there were no others.
func readResources(path string, text []byte) (all configfile.Findings) {
	docs, err := manifest.Parse(path, text)
	var invalid *manifest.InvalidError
	if errors.As(err, &invalid) {
		for _, p := range invalid.Problems {
			key := p.Path
			if key == "" {
				key = "resources"
			}
			all = append(all, wrong(p.File, p.Line, key, p.Reason))
		}
		return all
	}
	set, lines := &resource.Set{}, map[string]int{}
	for _, d := range docs {
		if err := set.Put(d.Kind, d.Message); err != nil {
			all = append(all, wrong(path, d.Line, "resources", err.Error()))
			continue
		}
		lines[string(d.Kind)+"/"+d.Message.GetName()] = d.Line
	}
	set.Complete()
	var problems *resource.InvalidError
	if errors.As(set.Validate(), &problems) {
		for _, p := range problems.Problems {
			key := string(p.Kind) + "/" + p.Name
			line := max(1, lines[key])
			if p.Field != "" {
				key += "." + p.Field
			}
			all = append(all, wrong(path, line, key, p.Reason))
		}
	}
	return all
}
