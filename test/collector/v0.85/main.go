// Command collector is an OpenTelemetry Collector of v0.85, the last version with an exporter to Jaeger.
package main

import (
	"log"

	"github.com/open-telemetry/opentelemetry-collector-contrib/exporter/jaegerexporter"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/exporter"
	"go.opentelemetry.io/collector/otelcol"
	"go.opentelemetry.io/collector/receiver"
	"go.opentelemetry.io/collector/receiver/otlpreceiver"
)

func main() {
	receivers, err := receiver.MakeFactoryMap(otlpreceiver.NewFactory())
	if err != nil {
		log.Fatal(err)
	}
	exporters, err := exporter.MakeFactoryMap(jaegerexporter.NewFactory())
	if err != nil {
		log.Fatal(err)
	}
	cmd := otelcol.NewCommand(otelcol.CollectorSettings{
		Factories: otelcol.Factories{Receivers: receivers, Exporters: exporters},
		BuildInfo: component.BuildInfo{Command: "collector", Description: "for tests", Version: "0.85.0"},
	})
	if err := cmd.Execute(); err != nil {
		log.Fatal(err)
	}
}
