package command

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/spf13/cobra"
	"go.yaml.in/yaml/v3"

	"github.com/heliosproxy/heliosproxy/controlplane/cmd/helioctl/exit"
	"github.com/heliosproxy/heliosproxy/controlplane/cmd/helioctl/table"
)

// contexts is the file of control planes that have names.
type contexts struct {
	Current  string         `yaml:"currentContext,omitempty"`
	Contexts []namedContext `yaml:"contexts,omitempty"`
}

// namedContext is a control plane with a name.
type namedContext struct {
	Name      string `yaml:"name"`
	Server    string `yaml:"server,omitempty"`
	TokenFile string `yaml:"tokenFile,omitempty"`
}

func (k contexts) find(name string) (namedContext, bool) {
	for _, c := range k.Contexts {
		if c.Name == name {
			return c, true
		}
	}
	return namedContext{}, false
}

func (k contexts) current() namedContext {
	c, _ := k.find(k.Current)
	return c
}

func (k contexts) names() []string {
	var names []string
	for _, c := range k.Contexts {
		names = append(names, c.Name)
	}
	return names
}

// contextsPath is where the file is: $HELIOCTL_CONFIG, or in the user's configuration directory; empty if there
// is neither.
func (s *session) contextsPath() string {
	if p := s.Env("HELIOCTL_CONFIG"); p != "" {
		return p
	}
	if x := s.Env("XDG_CONFIG_HOME"); filepath.IsAbs(x) {
		return filepath.Join(x, "helioctl/config.yaml")
	}
	if home := s.Env("HOME"); home != "" {
		return filepath.Join(home, ".config/helioctl/config.yaml")
	}
	return ""
}

func (s *session) loadContexts() (contexts, error) {
	var k contexts
	path := s.contextsPath()
	if path == "" {
		return k, nil
	}
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return k, nil
	}
	if err != nil {
		return k, exit.Refused(fmt.Errorf("read contexts: %w", err))
	}
	if err := yaml.Unmarshal(b, &k); err != nil {
		return k, exit.Refused(fmt.Errorf("read contexts: %s: %w", path, err))
	}
	return k, nil
}

func (s *session) saveContexts(k contexts) error {
	path := s.contextsPath()
	if path == "" {
		return exit.Refused(errors.New("there is no home directory: set HELIOCTL_CONFIG to the file of the contexts"))
	}
	b, err := yaml.Marshal(k)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return exit.Refused(fmt.Errorf("write contexts: %w", err))
	}
	part := path + ".part"
	err = os.WriteFile(part, b, 0o600)
	if err == nil {
		err = os.Rename(part, path)
	}
	if err != nil {
		return exit.Refused(fmt.Errorf("write contexts: %w", err))
	}
	return nil
}

// completeContext completes the names of contexts.
func (s *session) completeContext(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
	k, err := s.loadContexts()
	if err != nil {
		return nil, cobra.ShellCompDirectiveError
	}
	return k.names(), cobra.ShellCompDirectiveNoFileComp
}

func (s *session) configCommand() *cobra.Command {
	root := &cobra.Command{Use: "config", Short: "Give control planes names", Args: noCommand, RunE: help}
	edit := func(use, short string, change func(k *contexts, name string) error) *cobra.Command {
		return &cobra.Command{
			Use: use, Short: short, Args: exit.Args(cobra.ExactArgs(1)), ValidArgsFunction: s.completeContext,
			RunE: func(_ *cobra.Command, args []string) error {
				k, err := s.loadContexts()
				if err != nil {
					return err
				}
				if err := change(&k, args[0]); err != nil {
					return err
				}
				return s.saveContexts(k)
			},
		}
	}
	unknown := func(name string, k *contexts) error {
		if _, ok := k.find(name); ok {
			return nil
		}
		return exit.Refused(fmt.Errorf("there is no context %q", name))
	}
	root.AddCommand(
		&cobra.Command{
			Use: "get-contexts", Short: "List the contexts", Args: exit.Args(cobra.NoArgs),
			RunE: func(*cobra.Command, []string) error {
				k, err := s.loadContexts()
				if err != nil {
					return err
				}
				rows := [][]string{{"CURRENT", "NAME", "SERVER", "TOKEN FILE"}}
				for _, c := range k.Contexts {
					mark := ""
					if c.Name == k.Current {
						mark = "*"
					}
					rows = append(rows, []string{mark, c.Name, cmp.Or(c.Server, defaultServer), c.TokenFile})
				}
				return table.Print(s.Out, rows)
			},
		},
		&cobra.Command{
			Use: "current-context", Short: "Print the name of the current context", Args: exit.Args(cobra.NoArgs),
			RunE: func(*cobra.Command, []string) error {
				k, err := s.loadContexts()
				if err != nil {
					return err
				}
				if k.Current == "" {
					return exit.Refused(errors.New("there is no current context: helioctl config use-context NAME"))
				}
				_, err = fmt.Fprintln(s.Out, k.Current)
				return err
			},
		},
		edit("use-context NAME", "Make a context the current one", func(k *contexts, name string) error {
			k.Current = name
			return unknown(name, k)
		}),
		edit("set-context NAME", "Make a context of --server and --token-file, or change it", func(k *contexts, name string) error {
			i := slices.IndexFunc(k.Contexts, func(c namedContext) bool { return c.Name == name })
			if i < 0 {
				k.Contexts = append(k.Contexts, namedContext{Name: name})
				i = len(k.Contexts) - 1
			}
			c := &k.Contexts[i]
			c.Server = cmp.Or(s.flags.server, c.Server)
			if s.flags.tokenFile != "" {
				abs, err := filepath.Abs(s.flags.tokenFile)
				if err != nil {
					return err
				}
				c.TokenFile = abs
			}
			if k.Current == "" {
				k.Current = name
			}
			return nil
		}),
		edit("delete-context NAME", "Forget a context", func(k *contexts, name string) error {
			if err := unknown(name, k); err != nil {
				return err
			}
			k.Contexts = slices.DeleteFunc(k.Contexts, func(c namedContext) bool { return c.Name == name })
			if k.Current == name {
				k.Current = ""
			}
			return nil
		}),
	)
	return root
}
