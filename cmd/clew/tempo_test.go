package main

import (
	"os"
	"testing"

	"go.yaml.in/yaml/v3"
)

// TestGrafanaExample holds that the example's data sources are at the ports that Clew listens on.
func TestGrafanaExample(t *testing.T) {
	raw, err := os.ReadFile("../../examples/grafana/datasources.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		Version int `yaml:"apiVersion"`
		List    []struct {
			Name, UID, Type, Access, URL string
			Default                      bool           `yaml:"isDefault"`
			JSON                         map[string]any `yaml:"jsonData"`
		} `yaml:"datasources"`
	}
	if err := yaml.Unmarshal(raw, &file); err != nil {
		t.Fatal(err)
	}
	c := defaultConfig()
	want := map[string]string{"tempo": c.tempo, "jaeger": c.page, "zipkin": c.zipkin}
	for _, s := range file.List {
		if port, ok := want[s.Type]; !ok || s.URL != "http://127.0.0.1"+port || s.Access != "proxy" {
			t.Errorf("%s is a %s at %s; Clew's is at %q", s.Name, s.Type, s.URL, port)
		}
		delete(want, s.Type)
	}
	if len(want) > 0 || file.Version != 1 {
		t.Errorf("version %d, and there are none for %v", file.Version, want)
	}
}
