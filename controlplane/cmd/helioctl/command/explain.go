package command

import (
	"context"
	"fmt"
	"strings"

	"github.com/bufbuild/protocompile"
	"github.com/spf13/cobra"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/heliosproxy/heliosproxy/controlplane/cmd/helioctl/exit"
	"github.com/heliosproxy/heliosproxy/controlplane/cmd/helioctl/show"
	"github.com/heliosproxy/heliosproxy/pkg/manifest"
	"github.com/heliosproxy/heliosproxy/pkg/resource"
	protos "github.com/heliosproxy/heliosproxy/proto"
)

const resourcesFile = "helios/v1/resources.proto"

func (s *session) explainCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "explain KIND[.FIELD]",
		Short:   "Print what a kind or a field means",
		Example: "  helioctl explain poolprofile\n  helioctl explain poolprofile.acquireTimeout",
		Args:    exit.Args(cobra.ExactArgs(1)),
		ValidArgsFunction: func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
			return kindWords(), cobra.ShellCompDirectiveNoFileComp
		},
		RunE: func(c *cobra.Command, given []string) error {
			file, err := compileResources(c.Context())
			if err != nil {
				return err
			}
			kind, path, _ := strings.Cut(given[0], ".")
			t, ok := resource.Lookup(kind)
			if !ok {
				_, err := kindArg(kind, "helioctl explain")
				return err
			}
			return s.explainPath(file, file.Messages().ByName(protoreflect.Name(t.Kind)), string(t.Kind), strings.TrimPrefix(path, "spec."))
		},
	}
}

// compileResources reads resources.proto with its comments.
func compileResources(ctx context.Context) (protoreflect.FileDescriptor, error) {
	compiler := protocompile.Compiler{
		Resolver: protocompile.WithStandardImports(&protocompile.SourceResolver{
			Accessor: protocompile.SourceAccessorFromMap(map[string]string{resourcesFile: protos.Resources}),
		}),
		SourceInfoMode: protocompile.SourceInfoStandard,
	}
	files, err := compiler.Compile(ctx, resourcesFile)
	if err != nil {
		return nil, fmt.Errorf("read the documentation: %w", err)
	}
	return files[0], nil
}

// explainPath prints a message, or the field of it that the path leads to.
func (s *session) explainPath(file protoreflect.FileDescriptor, m protoreflect.MessageDescriptor, at, path string) error {
	if path == "" {
		fmt.Fprintf(s.Out, "KIND: %s\n\n%s\n\nFIELDS of spec:\n", at, show.Indent(comment(file, m)))
		for i := range m.Fields().Len() {
			fd := m.Fields().Get(i)
			if fd.Name() != "name" {
				fmt.Fprintf(s.Out, "  %s  <%s>\n%s\n", fd.JSONName(), typeWords(fd), show.Indent(show.Indent(comment(file, fd))))
			}
		}
		return nil
	}
	name, rest, deeper := strings.Cut(path, ".")
	fd := show.Field(m, name)
	if fd == nil {
		return exit.Refused(fmt.Errorf("%s has no field %q: helioctl explain %s lists them", at, name, at))
	}
	if deeper && fd.Message() != nil {
		return s.explainPath(file, fd.Message(), at+"."+fd.JSONName(), rest)
	}
	fmt.Fprintf(s.Out, "FIELD: %s.%s  <%s>\n\n%s\n", at, fd.JSONName(), typeWords(fd), show.Indent(comment(file, fd)))
	if e := fd.Enum(); e != nil {
		fmt.Fprintf(s.Out, "\nVALUES:\n")
		for i := range e.Values().Len() {
			if v := e.Values().Get(i); v.Number() != 0 {
				fmt.Fprintf(s.Out, "  %s\n", manifest.WordOf(e, v.Number()))
				if c := comment(file, v); c != "" {
					fmt.Fprintf(s.Out, "%s\n", show.Indent(show.Indent(c)))
				}
			}
		}
	}
	return nil
}

// comment is what stands above a declaration.
func comment(file protoreflect.FileDescriptor, d protoreflect.Descriptor) string {
	lines := strings.Split(strings.TrimSpace(file.SourceLocations().ByDescriptor(d).LeadingComments), "\n")
	for i := range lines {
		lines[i] = strings.TrimSpace(lines[i])
	}
	return strings.Join(lines, "\n")
}

// typeWords is the type of a field as people write its values.
func typeWords(fd protoreflect.FieldDescriptor) string {
	w := fd.Kind().String()
	switch {
	case fd.IsMap():
		return "mapping of names to " + typeWords(fd.MapValue())
	case fd.Enum() != nil:
		w = strings.Join(manifest.Words(fd.Enum()), " | ")
	case fd.Message() != nil:
		w = strings.ToLower(string(fd.Message().Name()))
	}
	if fd.IsList() {
		w = "list of " + w
	}
	return w
}
