// Package kafka_test reads from a real Kafka broker with the real server, and kills both.
package kafka_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/clewtrace/clew/internal/testkit"
)

// The login that the broker knows.
const (
	user     = "clew"
	password = "ariadne-and-the-thread"
)

// broker is a Kafka broker of one node, which keeps its data and ports over a restart.
type broker struct {
	dir                       string
	jars                      string
	plain, ssl, login, quorum string // addresses: plaintext, TLS, TLS with a login, the controller
	ca                        string // file with the authority of its certificate
	cmd                       *exec.Cmd
	done                      chan struct{}
}

var shared *broker // of the package: a broker takes 10 s of CPU to start

func TestMain(m *testing.M) {
	code := m.Run()
	if shared != nil {
		shared.stop(syscall.SIGKILL)
		_ = os.RemoveAll(shared.dir)
	}
	os.Exit(code)
}

// brokerOf returns the package's broker, which runs.
func brokerOf(t testing.TB) *broker {
	t.Helper()
	if testing.Short() {
		t.Skip("starts a Kafka broker")
	}
	if shared == nil {
		testkit.Tool(t, "java", "a JDK, 17 or newer (Debian: openjdk-17-jdk-headless)")
		dir, err := os.MkdirTemp("", "clew-kafka-")
		if err != nil {
			t.Fatal(err)
		}
		shared = &broker{dir: dir, jars: testkit.ClassPath(t, ".")}
		p := testkit.FreeAddresses(t, 4)
		shared.plain, shared.ssl, shared.login, shared.quorum = p[0], p[1], p[2], p[3]
		shared.configure(t)
		shared.start(t)
	}
	return shared
}

// configure writes the broker's configuration and certificate, and formats its data folder.
func (b *broker) configure(t testing.TB) {
	t.Helper()
	b.ca = b.certificate(t)
	listeners := fmt.Sprintf("PLAINTEXT://%s,SSL://%s,SASL_SSL://%s", b.plain, b.ssl, b.login)
	properties := fmt.Sprintf(`process.roles=broker,controller
node.id=1
controller.quorum.voters=1@%[1]s
listeners=%[2]s,CONTROLLER://%[1]s
advertised.listeners=%[2]s
controller.listener.names=CONTROLLER
listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,SSL:SSL,SASL_SSL:SASL_SSL
inter.broker.listener.name=PLAINTEXT
ssl.keystore.type=PEM
ssl.keystore.location=%[3]s
ssl.truststore.type=PEM
ssl.truststore.location=%[4]s
sasl.enabled.mechanisms=PLAIN,SCRAM-SHA-256,SCRAM-SHA-512
listener.name.sasl_ssl.plain.sasl.jaas.config=org.apache.kafka.common.security.plain.PlainLoginModule required user_%[5]s="%[6]s";
listener.name.sasl_ssl.scram-sha-256.sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required;
listener.name.sasl_ssl.scram-sha-512.sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required;
log.dirs=%[7]s
auto.create.topics.enable=false
offsets.topic.num.partitions=1
offsets.topic.replication.factor=1
transaction.state.log.num.partitions=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
group.initial.rebalance.delay.ms=0
group.min.session.timeout.ms=1000
`, b.quorum, listeners, b.file("server.pem"), b.ca, user, password, b.file("data"))
	write(t, b.file("server.properties"), properties)
	args := []string{"kafka.tools.StorageTool", "format", "-t", "AAAAAAAAAAAAAAAAAAAAAQ", "-c", b.file("server.properties")}
	for _, mechanism := range []string{"SCRAM-SHA-256", "SCRAM-SHA-512"} {
		args = append(args, "--add-scram", fmt.Sprintf("%s=[name=%s,password=%s]", mechanism, user, password))
	}
	if out, err := b.java(args...).CombinedOutput(); err != nil {
		t.Fatalf("format: %v\n%s", err, out)
	}
}

func (b *broker) file(name string) string { return filepath.Join(b.dir, name) }

func write(t testing.TB, path, content string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

func (b *broker) java(args ...string) *exec.Cmd {
	cmd := exec.Command("java", append([]string{"-Xms256m", "-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-cp", b.jars}, args...)...)
	cmd.SysProcAttr = testkit.Child()
	return cmd
}

// certificate writes the broker's key and certificate, and returns the file of the authority.
func (b *broker) certificate(t testing.TB) string {
	t.Helper()
	ca, caKey := issue(t, "authority", nil, nil)
	leaf, key := issue(t, "broker", ca, caKey)
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	write(t, b.file("server.pem"), string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))+pemOf(leaf))
	write(t, b.file("ca.pem"), pemOf(ca))
	return b.file("ca.pem")
}

func pemOf(c *x509.Certificate) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw}))
}

// issue makes a certificate, signed by an authority; without one, an authority's.
func issue(t testing.TB, name string, ca *x509.Certificate, caKey *ecdsa.PrivateKey) (*x509.Certificate, *ecdsa.PrivateKey) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: name}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, KeyUsage: x509.KeyUsageDigitalSignature, BasicConstraintsValid: true,
	}
	if ca == nil {
		c.IsCA, c.KeyUsage, c.IPAddresses = true, x509.KeyUsageCertSign, nil
		ca, caKey = c, key
	}
	der, err := x509.CreateCertificate(rand.Reader, c, ca, &key.PublicKey, caKey)
	if err != nil {
		t.Fatal(err)
	}
	c, err = x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return c, key
}

// startTimeout is how long a broker may take on a busy machine.
const startTimeout = 2 * time.Minute

// start starts the broker and waits until it answers.
func (b *broker) start(t testing.TB) {
	t.Helper()
	logFile, err := os.OpenFile(b.file("log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	b.cmd = b.java("kafka.Kafka", b.file("server.properties"))
	b.cmd.Stdout, b.cmd.Stderr = logFile, logFile
	err = b.cmd.Start()
	_ = logFile.Close() // the broker has it
	if err != nil {
		t.Fatal(err)
	}
	b.done = make(chan struct{})
	go func() { _ = b.cmd.Wait(); close(b.done) }()
	client := b.client(t)
	for deadline := time.Now().Add(startTimeout); ; time.Sleep(100 * time.Millisecond) {
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		err := client.Ping(ctx)
		cancel()
		if err == nil {
			return
		}
		select {
		case <-b.done:
			t.Fatalf("the broker ended: %v\n%s", err, b.tail())
		default:
		}
		if time.Now().After(deadline) {
			t.Fatalf("the broker does not answer: %v\n%s", err, b.tail())
		}
	}
}

func (b *broker) tail() string {
	raw, err := os.ReadFile(b.file("log"))
	if err != nil {
		return err.Error()
	}
	lines := strings.Split(string(bytes.TrimSpace(raw)), "\n")
	return strings.Join(lines[max(0, len(lines)-30):], "\n")
}

// stop sends the broker a signal and waits until it is gone.
func (b *broker) stop(signal syscall.Signal) {
	if b.cmd == nil || b.cmd.Process == nil {
		return
	}
	if err := b.cmd.Process.Signal(signal); err != nil && !errors.Is(err, os.ErrProcessDone) {
		_ = b.cmd.Process.Kill()
	}
	<-b.done
}

// client returns a client of the broker, which is closed with the test.
func (b *broker) client(t testing.TB, opts ...kgo.Opt) *kgo.Client {
	t.Helper()
	client, err := kgo.NewClient(append([]kgo.Opt{kgo.SeedBrokers(b.plain)}, opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	return client
}

// topic makes a topic of the test's own.
func (b *broker) topic(t testing.TB, name string, partitions int32) string {
	t.Helper()
	name = strings.ToLower(strings.ReplaceAll(t.Name(), "/", "-")) + "-" + name
	if _, err := kadm.NewClient(b.client(t)).CreateTopic(t.Context(), partitions, 1, nil, name); err != nil {
		t.Fatalf("create %s: %v", name, err)
	}
	return name
}

// behind returns how many records of topics, given as names or name=format, a group has not committed.
func (b *broker) behind(t testing.TB, group string, topics ...string) (records int64) {
	t.Helper()
	names := make([]string, len(topics))
	for i, topic := range topics {
		names[i], _, _ = strings.Cut(topic, "=")
	}
	admin := kadm.NewClient(b.client(t))
	ends, err := admin.ListEndOffsets(t.Context(), names...)
	if err != nil {
		t.Fatal(err)
	}
	committed, err := admin.FetchOffsets(t.Context(), group)
	if err != nil {
		t.Log(err) // there is no coordinator yet, or no such group
	}
	ends.Each(func(end kadm.ListedOffset) {
		if end.Err != nil {
			t.Fatal(end.Err)
		}
		records += end.Offset
		if c, ok := committed.Lookup(end.Topic, end.Partition); ok && c.Err == nil && c.At > 0 {
			records -= c.At
		}
	})
	return records
}
