package forward

import (
	"fmt"
	"os"
	"strings"
)

// Secret is a header's value. ${env:NAME} in it stands for a variable of the environment, ${file:PATH} for what is in a file, without
// space around it: read anew for each request, so that a token can be changed without a restart.
type Secret string

// reveal returns the value itself.
func (s Secret) reveal() (string, error) {
	var out strings.Builder
	rest := string(s)
	for {
		before, ref, found := strings.Cut(rest, "${")
		out.WriteString(before)
		if !found {
			break
		}
		ref, after, closed := strings.Cut(ref, "}")
		kind, name, _ := strings.Cut(ref, ":")
		if !closed || name == "" || kind != "env" && kind != "file" {
			return "", fmt.Errorf("${%.40s is neither ${env:NAME} nor ${file:PATH}", ref)
		}
		value, err := lookUp(kind, name)
		if err != nil {
			return "", err
		}
		out.WriteString(value)
		rest = after
	}
	if strings.ContainsFunc(out.String(), func(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f }) {
		return "", fmt.Errorf("the value has a line break or another character that no header can have")
	}
	return out.String(), nil
}

func lookUp(kind, name string) (string, error) {
	if kind == "file" {
		content, err := os.ReadFile(name)
		return strings.TrimSpace(string(content)), err
	}
	value, set := os.LookupEnv(name)
	if !set {
		return "", fmt.Errorf("the environment has no %s", name)
	}
	return value, nil
}
