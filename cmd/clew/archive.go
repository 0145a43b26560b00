package main

import (
	"errors"
	"fmt"
	"log/slog"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/clewtrace/clew/store/archive"
	"github.com/clewtrace/clew/store/tenants"
)

// openStore opens the store of all tenants, and what was archived beside it.
func (c *config) openStore(log *slog.Logger, reg prometheus.Registerer) (*archive.Store, error) {
	store, err := tenants.Open(c.store, c.tenantsKept(), log, reg)
	if err != nil {
		return nil, fmt.Errorf("store.dir: %w", err)
	}
	archived, err := archive.Open(store, c.store, log, reg)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("store.dir: %w", err), store.Close())
	}
	return archived, nil
}
