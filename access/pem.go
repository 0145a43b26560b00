package access

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"strings"
)

const pemWanted = "has no certificate in PEM; want -----BEGIN CERTIFICATE-----"

// readPair reads a certificate and its key. An error begins with cert_file or key_file, whichever is wrong.
func readPair(certFile, keyFile string) (*tls.Certificate, error) {
	if err := bothOrNone(certFile, keyFile); err != nil {
		return nil, err
	}
	certPEM, err := os.ReadFile(certFile)
	if err != nil {
		return nil, fmt.Errorf("cert_file: %w", err)
	}
	keyPEM, err := os.ReadFile(keyFile)
	if err != nil {
		return nil, fmt.Errorf("key_file: %w", err)
	}
	return parsePair(certFile, keyFile, certPEM, keyPEM)
}

func bothOrNone(certFile, keyFile string) error {
	switch {
	case certFile == "" && keyFile != "":
		return errors.New("key_file: there is no cert_file beside it; want both, or none")
	case certFile != "" && keyFile == "":
		return errors.New("cert_file: there is no key_file beside it; want both, or none")
	}
	return nil
}

// parsePair reads a certificate and its key from PEM text that was read from two paths. Errors are as of readPair, and tell nothing of the key.
func parsePair(certFile, keyFile string, certPEM, keyPEM []byte) (*tls.Certificate, error) {
	if !bytes.Contains(certPEM, []byte("-----BEGIN CERTIFICATE-----")) {
		return nil, fmt.Errorf("cert_file: %s %s", certFile, pemWanted)
	}
	cert, err := tls.X509KeyPair(certPEM, keyPEM)
	if err != nil {
		return nil, fmt.Errorf("key_file: %s and cert_file %s do not go together: %s", keyFile, certFile, strings.TrimPrefix(err.Error(), "tls: "))
	}
	return &cert, nil
}

// readAuthorities reads certificates of authorities.
func readAuthorities(path string) (*x509.CertPool, error) {
	raw, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	return parseAuthorities(path, raw)
}

// parseAuthorities reads the certificates of PEM text that was read from a path. Every one must be readable, and at least one be there:
// what is left out in silence would be missed much later.
func parseAuthorities(path string, raw []byte) (*x509.CertPool, error) {
	pool, n := x509.NewCertPool(), 0
	for block, rest := pem.Decode(raw); block != nil; block, rest = pem.Decode(rest) {
		if block.Type != "CERTIFICATE" {
			continue
		}
		n++
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("%s: certificate %d cannot be read: %w", path, n, err)
		}
		pool.AddCert(cert)
	}
	if n == 0 {
		return nil, fmt.Errorf("%s %s", path, pemWanted)
	}
	return pool, nil
}
