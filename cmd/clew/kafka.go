package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"golang.org/x/sync/errgroup"

	"github.com/clewtrace/clew/access"
	"github.com/clewtrace/clew/receive/kafka"
)

// kafkaConfig is what clew serve can be told of Kafka. Passwords are elsewhere, so that no list of settings or processes shows them.
type kafkaConfig struct {
	kafka.Config
	encrypt                   bool
	tls                       access.ClientTLS
	passwordFile, passwordEnv string
}

func (c *kafkaConfig) settings() settings {
	return settings{
		{key: "kafka.brokers", help: "host:port of some of a Kafka cluster's brokers; empty: nothing is read", value: &list{&c.Brokers}},
		{key: "kafka.topics", help: "topics to read: a list of sections with name and format, one of " + strings.Join(kafka.Formats(), ", "), value: &sections[kafka.Topic]{p: &c.Topics, keys: topicSettings}},
		{key: "kafka.group", help: "consumer group; Clews with the same one share the partitions", value: &text{&c.Group}},
		{key: "kafka.start", help: "where a group begins that has read nothing yet: oldest or newest", value: &choice{&c.Start, []string{kafka.Oldest, kafka.Newest}}},
		{key: "kafka.dead_letter", help: "topic to which records are written that cannot be read; empty: they are counted and logged", value: &text{&c.DeadLetter}},
		{key: "kafka.fetch_bytes", help: "records on their way and being stored, compressed; a part of receive.held_bytes", value: &size{&c.FetchBytes}},
		{key: "kafka.session_timeout", help: "after which the group shares out the partitions of a Clew that died", value: &duration{&c.SessionTimeout}},
		{key: "kafka.sasl_mechanism", help: "plain, scram-sha-256, scram-sha-512, or empty: no login", value: &choice{&c.SASL.Mechanism, append([]string{""}, kafka.Mechanisms()...)}},
		{key: "kafka.sasl_user", help: "user of the login", value: &text{&c.SASL.User}},
		{key: "kafka.sasl_password_file", help: "file with the login's password", value: &text{&c.passwordFile}},
		{key: "kafka.sasl_password_env", help: "environment variable with the login's password, instead of a file", value: &text{&c.passwordEnv}},
		{key: "kafka.tls.enabled", help: "connect to brokers by TLS", value: &boolean{&c.encrypt}},
		{key: "kafka.tls.ca_file", help: "PEM file with the authorities that brokers' certificates are of; empty: the system's", value: &text{&c.tls.CAFile}},
		{key: "kafka.tls.cert_file", help: "PEM file with Clew's own certificate, for brokers that want one", value: &text{&c.tls.CertFile}},
		{key: "kafka.tls.key_file", help: "PEM file with the key of that certificate", value: &text{&c.tls.KeyFile}},
		{key: "kafka.tls.server_name", help: "name that the brokers' certificates must have; empty: the host", value: &text{&c.tls.ServerName}},
		{key: "kafka.tls.insecure", help: "take any certificate: whoever is on the way can read and change what comes", value: &boolean{&c.tls.Insecure}},
	}
}

func topicSettings(t *kafka.Topic) settings {
	return settings{
		{key: "name", value: &text{&t.Name}},
		{key: "format", value: &choice{&t.Format, kafka.Formats()}},
	}
}

// validateKafka checks the settings and reads the files that they name.
func (c *config) validateKafka() error {
	k := &c.kafka
	k.BatchBytes = c.bodyBytes
	if err := k.Validate(); err != nil {
		return fmt.Errorf("kafka.%w", err)
	}
	switch {
	case !k.On():
		return nil
	case k.FetchBytes > c.heldBytes-3*c.bodyBytes: // a record is held, and its binary form twice
		return fmt.Errorf("kafka.fetch_bytes: is %d; want at most receive.held_bytes less 3 times receive.body_bytes, %d", k.FetchBytes, c.heldBytes-3*c.bodyBytes)
	case !k.encrypt && k.tls.Given():
		return errors.New("kafka.tls.enabled: is false, but there are other settings of TLS; want true, or none of them")
	case k.SASL.Mechanism == "" && k.passwordFile+k.passwordEnv != "":
		return errors.New("kafka.sasl_mechanism: is empty, but there is a password; want plain, scram-sha-256 or scram-sha-512")
	case k.SASL.Mechanism != "" && (k.passwordFile == "") == (k.passwordEnv == ""):
		return errors.New("kafka.sasl_password_file: want one of kafka.sasl_password_file and kafka.sasl_password_env with a login")
	}
	return k.secrets()
}

// secrets reads the password and what TLS needs.
func (c *kafkaConfig) secrets() (err error) {
	if c.encrypt {
		if c.TLS, err = c.tls.Config(); err != nil {
			return fmt.Errorf("kafka.tls.%w", err)
		}
	}
	c.SASL.Password = os.Getenv(c.passwordEnv)
	if c.passwordFile != "" {
		raw, err := os.ReadFile(c.passwordFile)
		if err != nil {
			return fmt.Errorf("kafka.sasl_password_file: %w", err)
		}
		c.SASL.Password = strings.TrimRight(string(raw), "\r\n")
	}
	if c.SASL.Mechanism != "" && c.SASL.Password == "" {
		return fmt.Errorf("kafka.sasl_user: the password of %s, in %s%s, is empty", c.SASL.User, c.passwordFile, c.passwordEnv)
	}
	return nil
}

// topicReader is a running consumer, or none.
type topicReader struct {
	stop func()
	done chan struct{} // closed when it has stopped
}

// Shutdown ends the reading when what is under way is stored and committed, or when ctx is done.
func (r *topicReader) Shutdown(ctx context.Context) error {
	r.stop()
	select {
	case <-r.done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Close ends the reading: what is not committed by then is read again at the next start.
func (r *topicReader) Close() error {
	r.stop()
	<-r.done
	return nil
}

// readKafka begins to read topics, if any are configured. That it cannot begin is an error of work.
func (c *config) readKafka(ctx context.Context, work *errgroup.Group, in intake) *topicReader {
	r := &topicReader{stop: func() {}, done: make(chan struct{})}
	if !c.kafka.On() {
		close(r.done)
		return r
	}
	cfg := c.kafka.Config
	if len(c.tenants) > 0 {
		cfg.TenantHeader = c.tenantHeader
	}
	consumer, err := kafka.Open(cfg, kafka.Into{Inlet: in.inlet, Bodies: in.bodies, Log: in.log, Registry: in.reg})
	if err != nil {
		close(r.done)
		work.Go(func() error { return fmt.Errorf("kafka.%w", err) })
		return r
	}
	ctx, r.stop = context.WithCancel(ctx)
	work.Go(func() error {
		defer close(r.done)
		consumer.Run(ctx)
		return nil
	})
	topics := make([]string, len(cfg.Topics))
	for i, t := range cfg.Topics {
		topics[i] = t.Name
	}
	in.log.Info("reading from Kafka", "brokers", cfg.Brokers, "group", cfg.Group, "topics", topics)
	return r
}
