package main

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/clewtrace/clew/api/admin"
	apiclew "github.com/clewtrace/clew/api/clew"
	"github.com/clewtrace/clew/api/openapi"
	"github.com/clewtrace/clew/internal/testkit"
)

// TestOpenAPI holds docs/openapi.json against what is served.
func TestOpenAPI(t *testing.T) {
	got, err := apiclew.Document(openapi.About{Version: "0.1.0"}, admin.Calls())
	if err != nil {
		t.Fatal(err)
	}
	testkit.Golden(t, filepath.Join("..", "..", "docs", "openapi.json"), append(got, '\n'))
}

// calls visits each call of a method in the files of a folder that are no tests, with the method's name and its first argument.
func calls(t *testing.T, dir string, visit func(name string, arg ast.Expr)) {
	t.Helper()
	set := token.NewFileSet()
	paths, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range paths {
		if strings.HasSuffix(path, "_test.go") {
			continue
		}
		f, err := parser.ParseFile(set, path, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(f, func(n ast.Node) bool {
			c, ok := n.(*ast.CallExpr)
			if !ok || len(c.Args) == 0 {
				return true
			}
			if s, ok := c.Fun.(*ast.SelectorExpr); ok {
				visit(s.Sel.Name, c.Args[0])
			}
			return true
		})
	}
}

// TestRoutesAreDescribed: the own API has no handler but by the tables of which the document is made, and each call of the tables has one.
func TestRoutesAreDescribed(t *testing.T) {
	others := map[string][]string{ // what is no call of the own API, or answers that there is none
		"../../api/clew":  {`"/api/v1/"`},
		"../../api/admin": {`"/api/v1/"`},
		".":               {`"/api/v1/"`, `"/"`, `apizipkin.Page+"/"`, `prefix+"/"`},
	}
	for dir, allowed := range others {
		byTable := 0
		calls(t, dir, func(name string, arg ast.Expr) {
			if name != "Handle" && name != "HandleFunc" {
				return
			}
			text := source(arg)
			if strings.HasSuffix(text, ".Pattern()") {
				byTable++
				return
			}
			if !slices.Contains(allowed, text) {
				t.Errorf("%s: %s(%s) is not by the table of the package's calls, and in no document", dir, name, text)
			}
		})
		if dir != "." && byTable != 1 {
			t.Errorf("%s registers by its table in %d places; want 1", dir, byTable)
		}
	}
}

// TestParametersAreRead: each parameter of the tables is one that some handler of its package reads; others are refused, or panic.
func TestParametersAreRead(t *testing.T) {
	read := map[string]bool{}
	for _, dir := range []string{"../../api/clew", "../../api/admin", "../../api/openapi"} {
		calls(t, dir, func(name string, arg ast.Expr) {
			if slices.Contains([]string{"Text", "All", "ID", "Number", "Duration", "Time", "Is", "PathValue"}, name) {
				if text, err := strconv.Unquote(source(arg)); err == nil {
					read[text] = true
				}
			}
		})
	}
	for _, c := range append(apiclew.Calls(), admin.Calls()...) {
		for _, p := range c.Params {
			if !c.Foreign && !read[p.Name] {
				t.Errorf("%s %s has a parameter %s that nothing reads", c.Method, c.Path, p.Name)
			}
		}
	}
}

// source returns an expression of few kinds as it is written.
func source(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.BasicLit:
		return e.Value
	case *ast.Ident:
		return e.Name
	case *ast.SelectorExpr:
		return source(e.X) + "." + e.Sel.Name
	case *ast.CallExpr:
		return source(e.Fun) + "()"
	case *ast.BinaryExpr:
		return source(e.X) + e.Op.String() + source(e.Y)
	case *ast.IndexExpr:
		return source(e.X) + "[]"
	}
	return "?"
}
