// Package query asks a store and answers every API: the one way from a question to traces.
//
//	api/* ──▶ Engine ──▶ Store (Scan, Tables, Trace) ──▶ traces, or tables of spans, evaluated again exactly ──▶ api/*
//
// It declares the store it needs and knows none of those there are. It never writes.
package query
