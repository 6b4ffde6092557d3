package resource

import (
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	heliosv1 "github.com/heliosproxy/heliosproxy/proto/gen/go/helios/v1"
)

// Redacted returns a copy of a resource that may be shown: its secrets have no value.
func Redacted(m Message) Message {
	c := proto.Clone(m).(Message)
	for s := range secrets(c.ProtoReflect()) {
		if s.Value != "" {
			s.Value, s.Redacted = "", true
		}
	}
	return c
}

// Forms says what the secrets of a resource are that [Redacted] leaves out, by the paths of their fields: "scram", "md5" or
// "password". It is nil where there are none.
func Forms(m Message) map[string]string {
	var forms map[string]string
	for s, field := range secrets(m.ProtoReflect()) {
		if s.Value == "" {
			continue
		}
		if forms == nil {
			forms = map[string]string{}
		}
		form, err := FormOf(s.Value)
		if err != nil {
			form = SecretPassword // what a validated resource does not have
		}
		forms[field] = form.String()
	}
	return forms
}

// Restore gives secrets of m that are redacted the value that stored has, a resource of the same kind or
// nil. It returns the fields for which there is none.
func Restore(m, stored Message) (missing []string) {
	have := map[string]string{}
	if stored != nil {
		for s, field := range secrets(stored.ProtoReflect()) {
			have[field] = s.Value
		}
	}
	for s, field := range secrets(m.ProtoReflect()) {
		switch {
		case !s.Redacted:
		case have[field] == "":
			missing = append(missing, field)
		default:
			s.Value, s.Redacted = have[field], false
		}
	}
	return missing
}

// ChangedSecrets returns the fields whose secrets differ. Either may be nil.
func ChangedSecrets(a, b Message) []string {
	var fields []string
	value := map[string]string{}
	if a != nil {
		for s, field := range secrets(a.ProtoReflect()) {
			value[field] = s.Value
		}
	}
	if b != nil {
		for s, field := range secrets(b.ProtoReflect()) {
			if value[field] != s.Value {
				fields = append(fields, field)
			}
			delete(value, field)
		}
	}
	for field, v := range value {
		if v != "" {
			fields = append(fields, field)
		}
	}
	return fields
}

// secrets yields the secrets of a message that are set, with the paths of their fields.
func secrets(m protoreflect.Message) func(yield func(*heliosv1.Secret, string) bool) {
	return func(yield func(*heliosv1.Secret, string) bool) { walkSecrets(m, "", yield) }
}

func walkSecrets(m protoreflect.Message, path string, yield func(*heliosv1.Secret, string) bool) bool {
	more := true
	m.Range(func(fd protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		if fd.Message() == nil || fd.IsMap() {
			return true
		}
		at := path + string(fd.Name())
		visit := func(sub protoreflect.Message) bool {
			if s, ok := sub.Interface().(*heliosv1.Secret); ok {
				return yield(s, at)
			}
			return walkSecrets(sub, at+".", yield)
		}
		if !fd.IsList() {
			more = visit(v.Message())
			return more
		}
		for i := range v.List().Len() {
			if more = visit(v.List().Get(i).Message()); !more {
				break
			}
		}
		return more
	})
	return more
}
