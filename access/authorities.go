package access

import (
	"crypto/x509"
	"encoding/pem"
	"fmt"
)

// parseAuthorities reads the certificates of PEM text that was read from a path. Every one must be readable, and at least one be there:
// what is left out in silence would be missed much later.
func parseAuthorities(path string, raw []byte) ([]*x509.Certificate, *x509.CertPool, error) {
	pool := x509.NewCertPool()
	var all []*x509.Certificate
	for block, rest := pem.Decode(raw); block != nil; block, rest = pem.Decode(rest) {
		if block.Type != "CERTIFICATE" {
			continue
		}
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, nil, fmt.Errorf("%s: certificate %d cannot be read: %w", path, len(all)+1, err)
		}
		pool.AddCert(cert)
		all = append(all, cert)
	}
	if len(all) == 0 {
		return nil, nil, fmt.Errorf("%s has no certificate in PEM: want -----BEGIN CERTIFICATE-----", path)
	}
	return all, pool, nil
}
