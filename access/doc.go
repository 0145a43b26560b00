// Package access says who may connect to Clew and what each may do: TLS with certificates that are read again when they change,
// credentials, what they may and for which tenants, and the same from the other side, for where Clew is a client.
package access
