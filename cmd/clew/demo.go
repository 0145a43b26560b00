package main

import "context"

func runDemo(context.Context, []string) error { return nil }
