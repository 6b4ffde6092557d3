package pgpass

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/heliosproxy/heliosproxy/pkg/scram"
)

// verifier is RFC 7677's example, as PostgreSQL stores it.
const verifier = "SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU="

// TestParseUserlist is what becomes of lists. In each, hunter2 is what no problem may show. Where PgBouncer 1.18 was
// seen to do something else, a comment says what.
func TestParseUserlist(t *testing.T) {
	const (
		md5    = "md553f48b7c4b76a86ce72276c5755f217d"
		beside = "white space beside the name or the secret: both are written in quotes if it belongs to them"
	)
	long := strings.Repeat("n", 127)
	longSecret := strings.Repeat("p", 2047)
	for _, tt := range []struct {
		name, text string
		users      []User
		problems   []string
	}{
		{"empty", "", nil, nil},
		{"empty lines", "\n\r\n \t\v\f\n", nil, nil},
		{"comments", "; ann:hunter2\n  ;\"ann\" \"hunter2\"\n", nil, nil},
		{"quoted", "\"ann\" \"a b\"\n\"bob\"\t\"x\"\n", []User{{"ann", "a b", 1}, {"bob", "x", 2}}, nil},
		{"no newline at the end", `"ann" "x"`, []User{{"ann", "x", 1}}, nil},
		{"carriage returns", "\"ann\" \"x\"\r\nbob:y\r\n", []User{{"ann", "x", 1}, {"bob", "y", 2}}, nil},
		{"white space before", " \t\v\f\r\"ann\" \"x\"\n  bob:y", []User{{"ann", "x", 1}, {"bob", "y", 2}}, nil},
		{"nothing between", `"ann"="x"`, []User{{"ann", "x", 1}}, nil},
		{"something between", `"ann" is , "x"`, []User{{"ann", "x", 1}}, nil},
		{"something behind", `"ann" "x" "valid until" ; ""`, []User{{"ann", "x", 1}}, nil},
		{"something right behind", `"ann" "x"y"`, []User{{"ann", "x", 1}}, nil},
		{"quotes within", `"a""b" "c""""d"`, []User{{`a"b`, `c""d`, 1}}, nil},
		{"quotes at the ends", `"""a""" """"`, []User{{`"a"`, `"`, 1}}, nil},
		{"no backslashes", `"a\" "b\"`, []User{{`a\`, `b\`, 1}}, nil},
		{"white space within", "\" a \" \"\tb \"", []User{{" a ", "\tb ", 1}}, nil},
		{"colons within quotes", `"a:b" "c:d"`, []User{{"a:b", "c:d", 1}}, nil},
		{"a secret without bytes", "\"ann\" \"\"\nbob:", []User{{"ann", "", 1}, {"bob", "", 2}}, nil},
		{"hashes", fmt.Sprintf("\"a\" %q\nb:%s\nc:%s\n", verifier, verifier, md5), []User{{"a", verifier, 1}, {"b", verifier, 2}, {"c", md5, 3}}, nil},
		{"no hashes", "a:md5\nb:" + strings.ToUpper(md5) + "\nc:SCRAM-SHA-256\nd:$2a$", []User{
			{"a", "md5", 1}, {"b", strings.ToUpper(md5), 2}, {"c", "SCRAM-SHA-256", 3}, {"d", "$2a$", 4},
		}, nil},
		{"bare", "ann:x:y \"z\"\nbob smith:;\n", []User{{"ann", "x:y \"z\"", 1}, {"bob smith", ";", 2}}, nil},
		{"the longest", fmt.Sprintf("%q %q\n%s2:x", long, longSecret, long[1:]), []User{{long, longSecret, 1}, {long[1:] + "2", "x", 2}}, nil},
		{"both forms, problems between", "\"ann\" \"x\"\n\"hunter2\n\"hunter2\"\nbob:y\nhunter2\n", []User{{"ann", "x", 1}, {"bob", "y", 4}}, []string{
			"2: the quote is not closed on its line", // PgBouncer: reads on
			"3: no secret in quotes behind the name", // PgBouncer: reads on
			`5: neither "user" "secret" nor user:secret`,
		}},
		{"a secret that is not closed", "\"ann\" \"hunter2\n\"bob\" \"hunter2\"\"\n", nil, []string{
			"1: the quote is not closed on its line", "2: the quote is not closed on its line",
		}},
		{"a name that is not closed for a doubled quote", `"ann"" "hunter2`, nil, []string{"1: no secret in quotes behind the name"}},
		{"twice", "ann:hunter2\nbob:y\n\"ann\" \"z\"\nann:z", []User{{"ann", "z", 4}, {"bob", "y", 2}}, []string{
			`3: user "ann" stands on line 1, too: the last line counts`, `4: user "ann" stands on line 3, too: the last line counts`,
		}},
		{"no name", "\"\" \"hunter2\"\n:hunter2", nil, []string{"1: the user has no name", "2: the user has no name"}},
		{"too long", fmt.Sprintf("%q \"hunter2\"\n\"a\" %q\n\"%s\" \"hunter2\"", long+"n", longSecret+"p", strings.Repeat(`""`, 64)), nil, []string{
			"1: the name has 128 bytes, more than 127", "2: the secret has 2048 bytes, more than 2047", "3: the name has 128 bytes, more than 127",
		}},
		{"white space of bare lines", "ann :hunter2\nann: hunter2\nann:hunter2 \nann:hunter2\t\r\n", nil, []string{
			"1: " + beside, "2: " + beside, "3: " + beside, "4: " + beside,
		}},
		{"a quote in a bare name", `ann" "hunter2:`, nil, []string{"1: a quote within a name: both values are written in quotes, or neither"}},
		{"another comment", "# note: hunter2\n#hunter2", nil, []string{
			"1: a comment begins with ;, and a name that begins with # is written in quotes", `2: neither "user" "secret" nor user:secret`,
		}},
		{"a zero byte", "\"ann\" \"hunter2\x00\"\nann:x", []User{{"ann", "x", 2}}, []string{"1: the line holds a zero byte"}}, // PgBouncer: ends here
		{"a byte order mark", "\ufeff\"ann\" \"x\"", []User{{"ann", "x", 1}}, []string{"1: the file begins with a byte order mark"}},
		{"broken hashes", "a:SCRAM-SHA-256$hunter2:x$y:z\nb:$2b$" + strings.Repeat("h", 56) + "\n\"c\" \"SCRAM-SHA-256$hunter2\"", nil, []string{ // PgBouncer: passwords
			"1: not a SCRAM-SHA-256 verifier: iteration count is not within 1 and 1000000",
			"2: the secret is a bcrypt hash, which no method of PostgreSQL can check",
			"3: not a SCRAM-SHA-256 verifier: want iterations:salt$StoredKey:ServerKey",
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			users, problems := ParseUserlist("users.txt", []byte(tt.text))
			if !slices.Equal(users, tt.users) {
				t.Errorf("users are %q, want %q", bareUsers(users), bareUsers(tt.users))
			}
			var got []string
			for _, p := range problems {
				got = append(got, strings.TrimPrefix(p.String(), "users.txt:"))
				if p.Works != strings.HasSuffix(p.Reason, "the last line counts") {
					t.Errorf("%s: works is %v", p, p.Works)
				}
				if strings.Contains(p.String(), "hunter2") {
					t.Errorf("the secret is shown: %s", p)
				}
			}
			if !slices.Equal(got, tt.problems) {
				t.Errorf("problems are %q, want %q", got, tt.problems)
			}
		})
	}
}

// bareUsers makes users that show their secrets.
func bareUsers(users []User) (out [][2]string) {
	for _, u := range users {
		out = append(out, [2]string{fmt.Sprint(u.Line, " ", u.Name), u.Secret})
	}
	return out
}

func TestProblemsAreBounded(t *testing.T) {
	_, problems := ParseUserlist("u", bytes.Repeat([]byte("x\n"), 1000))
	if len(problems) != maxProblems+1 || problems[maxProblems].Line != 101 {
		t.Errorf("%d problems, the last is %s", len(problems), problems[len(problems)-1])
	}
	// What works leaves room for what does not.
	_, problems = ParseUserlist("u", append(bytes.Repeat([]byte("a:b\n"), 1000), "x\n"...))
	if last := problems[len(problems)-1]; len(problems) != maxProblems+2 || last.Works || last.Line != 1001 {
		t.Errorf("%d problems, the last is %s", len(problems), last)
	}
}

func TestAppendUserlist(t *testing.T) {
	head := []byte("; users\n")
	for _, tt := range []struct {
		user User
		want string // empty: refused
	}{
		{User{Name: "ann", Secret: "x"}, `"ann" "x"`},
		{User{Name: `a"b`, Secret: `"`}, `"a""b" """"`},
		{User{Name: " a:;#", Secret: "\t \r"}, "\" a:;#\" \"\t \r\""},
		{User{Name: "ann", Secret: ""}, `"ann" ""`},
		{User{Name: "ann", Secret: verifier}, `"ann" "` + verifier + `"`},
		{User{Name: strings.Repeat("n", 127), Secret: strings.Repeat("p", 2047)}, `"` + strings.Repeat("n", 127) + `" "` + strings.Repeat("p", 2047) + `"`},
		{User{Name: "", Secret: "hunter2"}, ""},
		{User{Name: "a\nb", Secret: "hunter2"}, ""},
		{User{Name: "a", Secret: "hunter2\n"}, ""},
		{User{Name: "a", Secret: "hunter2\x00"}, ""},
		{User{Name: "a", Secret: verifier[:50]}, ""},
		{User{Name: "a", Secret: "$2y$" + strings.Repeat("x", 56)}, ""},
		{User{Name: strings.Repeat("n", 126) + `"`, Secret: "hunter2"}, ""},
		{User{Name: "a", Secret: strings.Repeat("p", 2046) + `"`}, ""},
	} {
		got, err := AppendUserlist(head, tt.user)
		want := string(head)
		if tt.want != "" {
			want += tt.want + "\n"
		}
		if string(got) != want || (err == nil) != (tt.want != "") {
			t.Errorf("%q becomes %q, %v; want %q", bareUsers([]User{tt.user}), got, err, want)
		}
		if err != nil && (strings.Contains(err.Error(), "hunter2") || strings.Contains(err.Error(), "W22Za")) {
			t.Errorf("the secret is shown: %v", err)
		}
	}
}

// roundTripFault states what must hold of any name and secret, so that a planted fault can be shown to break it.
func roundTripFault(name, secret string, write func([]byte, User) ([]byte, error)) string {
	u := User{Name: name, Secret: secret, Line: 2}
	text, err := write([]byte("; users\n"), u)
	if err != nil {
		if string(text) != "; users\n" {
			return "refused, and yet written"
		}
		return ""
	}
	users, problems := ParseUserlist("u", append(text, "\"another\x01\" \"x\"\n"...))
	if len(problems) != 0 || !slices.Equal(users, []User{u, {"another\x01", "x", 3}}) && name != "another\x01" {
		return fmt.Sprintf("%q reads as %q, %v", text, bareUsers(users), problems)
	}
	return ""
}

func FuzzUserlistWrites(f *testing.F) {
	f.Add("ann", "secret")
	f.Add(`a"b`, verifier)
	f.Fuzz(func(t *testing.T, name, secret string) {
		if fault := roundTripFault(name, secret, AppendUserlist); fault != "" {
			t.Error(fault)
		}
	})
}

// userlistFault states what must hold of any list.
func userlistFault(text []byte, parse func(string, []byte) ([]User, []Problem)) string {
	users, problems := parse("u", text)
	lines := bytes.Split(text, []byte("\n"))
	names := map[string]bool{}
	for _, u := range users {
		switch {
		case u.Name == "" || names[u.Name]:
			return fmt.Sprintf("name %q is empty or stands twice", u.Name)
		case u.Line < 1 || u.Line > len(lines):
			return fmt.Sprintf("line %d is none", u.Line)
		case !bytes.Contains(lines[u.Line-1], []byte(quote(u.Secret))) && !bytes.Contains(lines[u.Line-1], []byte(u.Secret)):
			return fmt.Sprintf("the secret of %q does not stand on its line", u.Name)
		case strings.HasPrefix(u.Secret, scram.Mechanism+"$") && !scram.IsVerifier(u.Secret):
			return fmt.Sprintf("the secret of %q is a broken verifier", u.Name)
		}
		names[u.Name] = true
		if fault := roundTripFault(u.Name, u.Secret, AppendUserlist); fault != "" {
			return fault
		}
	}
	for _, p := range problems {
		if p.Line < 1 || p.Line > len(lines) {
			return fmt.Sprintf("line %d is none", p.Line)
		}
	}
	return ""
}

func FuzzUserlist(f *testing.F) {
	f.Add([]byte("\"ann\" \"x\"\n; c\nbob:y\n\"ann\" \"z\"\n"))
	f.Add([]byte("\ufeff\"a\"\"\" \"" + verifier + "\"\r\n#\n:\x00\n\"\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		if fault := userlistFault(text, ParseUserlist); fault != "" {
			t.Errorf("%q: %s", text, fault)
		}
	})
}

// TestPlantedUserlistFaults shows that the fuzz targets would notice a writer and a reader that are wrong.
func TestPlantedUserlistFaults(t *testing.T) {
	careless := func(dst []byte, u User) ([]byte, error) { // forgets to double the quotes
		return fmt.Appendf(dst, "\"%s\" \"%s\"\n", u.Name, u.Secret), nil
	}
	if roundTripFault("ann", `a"b`, careless) == "" {
		t.Error("a writer that does not double quotes is not found")
	}
	across := func(file string, text []byte) ([]User, []Problem) { // reads on over the end of a line
		return ParseUserlist(file, bytes.ReplaceAll(text, []byte("\n"), []byte(" ")))
	}
	if userlistFault([]byte("\"ann\"\n\"bob\" \"x\"\n"), across) == "" {
		t.Error("a reader that reads on over the end of a line is not found")
	}
}

func TestSecretsStayOutOfLogs(t *testing.T) {
	u := User{Name: "ann", Secret: "hunter2"}
	p, _ := ParsePassfile("f", []byte("*:*:*:*:hunter2\n"))
	for _, verb := range []string{"%v", "%+v", "%s", "%#v"} {
		for _, value := range []any{u, &u, []User{u}, p, &p} {
			if got := fmt.Sprintf(verb, value); strings.Contains(got, "hunter2") {
				t.Errorf("%s prints %s", verb, got)
			}
		}
	}
}
