// Package collector tests Clew with a real OpenTelemetry Collector: as what sends to Clew, and as what Clew forwards to.
package collector
