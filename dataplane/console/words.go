package console

import (
	"strings"

	"github.com/heliosproxy/heliosproxy/pkg/pgerr"
)

// word is a word, a name in double quotes, or a text in single ones.
type word struct {
	text   string
	quoted bool
}

func (w word) is(keyword string) bool { return !w.quoted && strings.EqualFold(w.text, keyword) }

// split reads the commands of a text, which ; ends. Comments are as in SQL.
func split(sql string) (commands [][]word, err error) {
	var now []word
	for i := 0; i < len(sql); {
		switch c := sql[i]; {
		case c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\f' || c == '\v':
			i++
		case c == ';':
			if len(now) > 0 {
				commands = append(commands, now)
				now = nil
			}
			i++
		case c == '=' || c == ',' || c == '(' || c == ')':
			now = append(now, word{text: sql[i : i+1]})
			i++
		case strings.HasPrefix(sql[i:], "--"):
			end := strings.IndexByte(sql[i:], '\n')
			if end < 0 {
				end = len(sql) - i
			}
			i += end
		case strings.HasPrefix(sql[i:], "/*"):
			end := strings.Index(sql[i+2:], "*/")
			if end < 0 {
				return nil, pgerr.New(pgerr.ConsoleSyntax, "a comment has no end")
			}
			i += end + 4
		case c == '"' || c == '\'':
			text, n, ok := quoted(sql[i:])
			if !ok {
				return nil, pgerr.New(pgerr.ConsoleSyntax, "a quote has no end")
			}
			now = append(now, word{text, true})
			i += n
		default:
			end := strings.IndexAny(sql[i:], " \t\n\r\f\v;=,()'\"")
			if end < 0 {
				end = len(sql) - i
			}
			now = append(now, word{text: sql[i : i+end]})
			i += end
		}
	}
	if len(now) > 0 {
		commands = append(commands, now)
	}
	return commands, nil
}

// quoted reads what is in quotes at the beginning of s, where a doubled quote is one, and says how long that is.
func quoted(s string) (text string, n int, ok bool) {
	q := s[:1]
	for rest := s[1:]; ; {
		end := strings.Index(rest, q)
		if end < 0 {
			return "", 0, false
		}
		text, rest = text+rest[:end], rest[end+1:]
		if !strings.HasPrefix(rest, q) {
			return text, len(s) - len(rest), true
		}
		text, rest = text+q, rest[1:]
	}
}
