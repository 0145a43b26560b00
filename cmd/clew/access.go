package main

import (
	"crypto/tls"
	"flag"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"strings"

	"github.com/clewtrace/clew/access"
	"github.com/clewtrace/clew/demo"
	"github.com/clewtrace/clew/load"
)

// client is how a part of Clew that is a client proves whom it talks to, and who it is.
type client struct {
	tls   access.ClientTLS
	login access.Login
}

// clientTLSSettings is what a client can be told of TLS, as keys below a prefix such as "tls."; see loginSettings for its credential.
func clientTLSSettings(prefix string, t *access.ClientTLS) settings {
	return settings{
		{key: prefix + "ca_file", help: "PEM file of the authorities that may have signed the server's certificate; empty: the system's", value: &text{&t.CAFile}},
		{key: prefix + "cert_file", help: "PEM file of the client's certificate, for mutual TLS", value: &text{&t.CertFile}},
		{key: prefix + "key_file", help: "PEM file of the client certificate's key", value: &text{&t.KeyFile}},
		{key: prefix + "server_name", help: "name that the server's certificate must have; empty: that of the address", value: &text{&t.ServerName}},
		{key: prefix + "insecure_skip_verify", help: "take any certificate of the server: whoever is on the way can read and change what is sent", value: &boolean{&t.Insecure}},
	}
}

// loginSettings is the keys of a client's credential.
func loginSettings(prefix string, l *access.Login) settings {
	return settings{
		{key: prefix + "token_file", help: "file with a bearer token in one line, read for each request", value: &text{&l.TokenFile}},
		{key: prefix + "password_file", help: "file with user:password in one line, read for each request", value: &text{&l.PasswordFile}},
	}
}

// clientTLS returns the configuration of connections to a server, and warns when that does not prove who it is.
func clientTLS(t *access.ClientTLS, server string, log *slog.Logger) (*tls.Config, error) {
	if t.Insecure {
		log.Warn("the server's certificate is not verified: whoever is on the way can read and change what is sent", "server", server)
	}
	return t.Config()
}

// clientFlags adds the flags of a command that is a client: the same names as the settings, as flags.
func clientFlags(fs *flag.FlagSet) *client {
	c := &client{}
	for _, s := range append(clientTLSSettings("", &c.tls), loginSettings("", &c.login)...) {
		name, help := strings.ReplaceAll(s.key, "_", "-"), strings.Replace(s.help, "file", "`file`", 1)
		if _, ok := s.value.(*boolean); ok {
			fs.BoolVar(&c.tls.Insecure, name, false, help)
			continue
		}
		fs.Var(option{s.value}, name, help)
	}
	return c
}

// option is a value as one of package flag's, which also asks a zero value for its text.
type option struct{ flag.Value }

func (o option) String() string {
	if o.Value == nil {
		return ""
	}
	return o.Value.String()
}

// config returns the configuration of connections; a mistake names the flag.
func (c *client) config(server string) (*tls.Config, error) {
	cfg, err := clientTLS(&c.tls, server, slog.Default())
	if err == nil {
		_, err = c.login.Authorization()
	}
	if err != nil {
		key, rest, _ := strings.Cut(err.Error(), ":")
		return nil, usageError{fmt.Errorf("--%s:%s", strings.ReplaceAll(key, "_", "-"), rest)}
	}
	return cfg, nil
}

// http returns a client of a server's HTTP.
func (c *client) http(server string) (*http.Client, error) {
	cfg, err := c.config(server)
	if err != nil {
		return nil, err
	}
	t := http.DefaultTransport.(*http.Transport).Clone()
	t.TLSClientConfig = cfg
	return &http.Client{Transport: c.login.Transport(t)}, nil
}

// load sets how a load connects, and its credential: that of now.
func (c *client) load(cfg *load.Config) (err error) {
	if cfg.TLS, err = c.config(cfg.Endpoint); err != nil {
		return err
	}
	cfg.Headers, err = c.headers(cfg.Headers)
	return err
}

// headers returns headers with the credential of now among them, if there is one.
func (c *client) headers(others map[string]string) (map[string]string, error) {
	value, err := c.login.Authorization()
	if value == "" || err != nil {
		return others, err
	}
	out := map[string]string{"Authorization": value}
	maps.Copy(out, others)
	return out, nil
}

// demo sets how a shop connects to a backend: with TLS where that has it.
func (c *client) demo(backend *config, shop *demo.Config) (err error) {
	if t := backend.access.of("listen.otlp_grpc"); t.Given() {
		if shop.TLS, err = clientTLS(&c.tls, backend.otlpGRPC, backend.logger()); err != nil {
			return fmt.Errorf("demo.%w", err)
		}
	}
	if shop.Headers, err = c.headers(nil); err != nil {
		return fmt.Errorf("demo.%w", err)
	}
	return nil
}
