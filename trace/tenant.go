package trace

import "context"

// DefaultTenant is whose all is that names no tenant.
const DefaultTenant = "default"

type tenantKey struct{}

// WithTenant returns a context in which a tenant asks or sends. The name is as it was given: a store says whether there is such a tenant.
func WithTenant(ctx context.Context, name string) context.Context {
	return context.WithValue(ctx, tenantKey{}, name)
}

// TenantOf returns the name of the tenant that asks or sends: DefaultTenant if none is named.
func TenantOf(ctx context.Context) string {
	if name, ok := ctx.Value(tenantKey{}).(string); ok && name != "" {
		return name
	}
	return DefaultTenant
}
