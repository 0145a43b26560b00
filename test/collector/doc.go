// Package collector tests Clew with a real OpenTelemetry Collector: as what sends to Clew, and as what Clew forwards to.
//
// The Collectors are modules of their own in its folders, so that their 300 dependencies stay out of Clew's: a current one, and the last whose contrib had an
// exporter to Jaeger. Each is built once (some 120 and 85 seconds of CPU time), and kept in the user's cache until its go.mod, go.sum or main.go changes.
package collector
