package kafka

import (
	"crypto/tls"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Config is which topics are read, and how.
type Config struct {
	Brokers    []string // host:port of some of the cluster's brokers; none: nothing is read
	Group      string   // the consumer group, whose members share the partitions
	Topics     []Topic
	Start      string // Oldest or Newest: where the group begins in a partition of which it has committed nothing
	DeadLetter string // the topic to which records go that cannot be read; "": they are only counted and logged
	FetchBytes int64  // of records on their way here and being stored, compressed
	BatchBytes int64  // of a record, and of a batch of records, decompressed

	SessionTimeout time.Duration // after which the group shares out the partitions of a member that died

	TenantHeader string // the record header that names the tenant; "": all is of the default tenant
	TLS          *tls.Config
	SASL         SASL
}

// Topic is one that is read, and what its records hold.
type Topic struct{ Name, Format string }

// SASL is how Clew says to a broker who it is. Mechanism is empty, or one of Mechanisms.
type SASL struct{ Mechanism, User, Password string }

// Where a group begins.
const (
	Oldest = "oldest"
	Newest = "newest"
)

// Default returns the configuration that reads nothing.
func Default() Config {
	return Config{Group: "clew", Start: Oldest, FetchBytes: 32 << 20, BatchBytes: 64 << 20, SessionTimeout: 15 * time.Second}
}

// Mechanisms returns the names of the SASL mechanisms.
func Mechanisms() []string { return []string{"plain", "scram-sha-256", "scram-sha-512"} }

// On reports whether anything is to be read.
func (c *Config) On() bool { return len(c.Brokers) > 0 }

// minFetchBytes lets each fetch bring a batch of the size that brokers take unless they are told otherwise.
const minFetchBytes = 2 * fetches << 20

// Validate says what is wrong with a setting, after its key and a colon.
func (c *Config) Validate() error {
	if !c.On() {
		if len(c.Topics) > 0 {
			return fmt.Errorf("brokers: is empty, but there are topics; want host:port of a broker")
		}
		return nil
	}
	if len(c.Topics) == 0 {
		return fmt.Errorf("topics: is empty; want a list such as [{name: otlp_spans, format: otlp_proto}]")
	}
	for _, b := range c.Brokers {
		if !strings.Contains(b, ":") {
			return fmt.Errorf("brokers: %.80q has no port; want host:port", b)
		}
	}
	if err := c.validateTopics(); err != nil {
		return err
	}
	switch {
	case c.Group == "":
		return fmt.Errorf("group: is empty; want a name, the same for all Clews that share the topics")
	case c.Start != Oldest && c.Start != Newest:
		return fmt.Errorf("start: is %.80q; want %s or %s", c.Start, Oldest, Newest)
	case c.FetchBytes < minFetchBytes || c.FetchBytes > 1<<30:
		return fmt.Errorf("fetch_bytes: is %d; want 4MiB to 1GiB", c.FetchBytes)
	case c.SessionTimeout < time.Second || c.SessionTimeout > 30*time.Minute:
		return fmt.Errorf("session_timeout: is %v; want 1s to 30m", c.SessionTimeout)
	}
	return c.SASL.validate()
}

func (c *Config) validateTopics() error {
	var names []string
	for i, t := range c.Topics {
		switch {
		case t.Name == "":
			return fmt.Errorf("topics: topic %d of the list has no name", i+1)
		case formatNamed(t.Format) == nil:
			return fmt.Errorf("topics: the format of %s is %.80q; want one of %s", t.Name, t.Format, strings.Join(Formats(), ", "))
		case slices.Contains(names, t.Name):
			return fmt.Errorf("topics: %s is there twice; a topic has one format", t.Name)
		case t.Name == c.DeadLetter:
			return fmt.Errorf("dead_letter: %s is read, too: what cannot be read would come again and again", t.Name)
		}
		names = append(names, t.Name)
	}
	return nil
}

func (s *SASL) validate() error {
	switch {
	case s.Mechanism == "" && s.User == "":
		return nil
	case !slices.Contains(Mechanisms(), s.Mechanism):
		return fmt.Errorf("sasl_mechanism: is %.80q; want one of %s", s.Mechanism, strings.Join(Mechanisms(), ", "))
	case s.User == "":
		return fmt.Errorf("sasl_user: is empty; %s needs a user", s.Mechanism)
	}
	return nil
}
