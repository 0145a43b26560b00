package traceql

// Walk calls visit with an expression and, if it returns true, with those inside it, from left to right.
func Walk(e Expr, visit func(Expr) bool) {
	if e == nil || !visit(e) {
		return
	}
	switch e := e.(type) {
	case *Unary:
		Walk(e.X, visit)
	case *Binary:
		Walk(e.X, visit)
		Walk(e.Y, visit)
	case *In:
		Walk(e.X, visit)
	case *Match:
		Walk(e.X, visit)
	case *IsNil:
		Walk(e.X, visit)
	}
}
