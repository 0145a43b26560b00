package main

import (
	"bufio"
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/clewtrace/clew/access"
)

const credentialExample = `Usage: clew credential token NAME
       clew credential password USER

Makes a credential for clew serve, and the line that its file has of it; the file has no secret then. See docs/security.md.

  clew credential token collector >> /etc/clew/tokens          # auth.token_file; the token itself is told on the terminal
  clew credential password alice >> /etc/clew/passwords        # auth.password_file; the password is read from the terminal, or a pipe

`

func runCredential(_ context.Context, args []string) error {
	fs := flag.NewFlagSet("credential", flag.ContinueOnError)
	fs.SetOutput(io.Discard)
	words, err := parseArguments(fs, credentialExample, args)
	if err != nil {
		return err
	}
	if len(words) != 2 {
		return usageError{errors.New("want clew credential token NAME, or clew credential password USER")}
	}
	switch kind, name := words[0], words[1]; kind {
	case "token":
		return newToken(name)
	case "password":
		return newPassword(name)
	default:
		return usageError{fmt.Errorf("there is no credential of kind %.40q; want token or password", kind)}
	}
}

// newToken prints a token's line, and tells the token where it does not get into the file.
func newToken(name string) error {
	if len(strings.Fields(name)) != 1 || strings.Fields(name)[0] != name {
		return usageError{fmt.Errorf("%q is no name of a credential; want one without spaces", name)}
	}
	var secret [32]byte
	if _, err := rand.Read(secret[:]); err != nil {
		return err
	}
	token := base64.RawURLEncoding.EncodeToString(secret[:])
	fmt.Println(access.TokenLine(name, token))
	fmt.Fprintf(os.Stderr, "token of %s, which is nowhere else: %s\n", name, token)
	return nil
}

func newPassword(user string) error {
	if st, err := os.Stdin.Stat(); err == nil && st.Mode()&os.ModeCharDevice != 0 {
		fmt.Fprintf(os.Stderr, "password of %s (it is shown as you type): ", user)
	}
	password, err := bufio.NewReader(io.LimitReader(os.Stdin, 1<<10)).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	line, err := access.PasswordLine(user, strings.TrimRight(password, "\r\n"))
	if err != nil {
		return usageError{err}
	}
	fmt.Println(line)
	return nil
}
