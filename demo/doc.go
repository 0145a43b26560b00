// Package demo is a small shop whose services talk HTTP and gRPC over loopback, instrumented as any shop's would be, to have traces to look at.
//
// Nine services, each with its own OpenTelemetry SDK, resource and server on a free port of 127.0.0.1. Time passes by sleeping; databases
// are spans without a database behind them. Three things are wrong with the shop, for its visitors to find: see Guide.
//
//	shopper ─▶ frontend ─┬▶ catalog ◀── recommendation ◀── frontend
//	                     ├▶ cart
//	                     └▶ checkout ─┬▶ cart, inventory, shipping, payment
//	                                  └▶ queue ─▶ email   (a trace of its own, linked)
package demo
