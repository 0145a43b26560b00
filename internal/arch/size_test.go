package arch

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestSizes(t *testing.T) {
	for path, p := range packages(t) {
		total := 0
		for _, name := range p.GoFiles {
			total += checkFile(t, filepath.Join(p.Dir, name), path+"/"+name, true)
		}
		for _, name := range append(p.TestGoFiles, p.XTestGoFiles...) {
			checkFile(t, filepath.Join(p.Dir, name), path+"/"+name, false)
		}
		if total > maxPackageLines {
			t.Errorf("%s has %d lines; at most %d", path, total, maxPackageLines)
		}
		if total > 0 && total < minPackageLines && !slices.Contains(small, path) && room(path) != "test" {
			t.Errorf("%s has %d lines; what is below %d belongs into a larger package", path, total, minPackageLines)
		}
	}
}

// checkFile checks a file and, of code that is shipped, its functions and variables; it returns the number of lines.
func checkFile(t *testing.T, path, name string, shipped bool) int {
	t.Helper()
	src, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Count(string(src), "\n")
	if lines > maxFileLines {
		t.Errorf("%s has %d lines; at most %d", name, lines, maxFileLines)
	}
	if !shipped {
		return lines
	}
	fset := token.NewFileSet()
	f, err := parser.ParseFile(fset, path, src, parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range f.Decls {
		switch d := d.(type) {
		case *ast.FuncDecl:
			n := fset.Position(d.End()).Line - fset.Position(d.Pos()).Line + 1
			if n > maxFunctionLines {
				t.Errorf("%s: %s has %d lines; at most %d", name, d.Name.Name, n, maxFunctionLines)
			}
			if p := d.Type.Params.NumFields(); p > maxParameters {
				t.Errorf("%s: %s has %d parameters; at most %d, else a struct", name, d.Name.Name, p, maxParameters)
			}
			if d.Name.Name == "init" {
				t.Errorf("%s has an init function", name)
			}
		case *ast.GenDecl:
			checkTypes(t, name, d)
		}
	}
	return lines
}

func checkTypes(t *testing.T, name string, d *ast.GenDecl) {
	t.Helper()
	for _, s := range d.Specs {
		spec, ok := s.(*ast.TypeSpec)
		if !ok {
			continue
		}
		for _, word := range []string{"Factory", "Manager", "Provider", "Builder", "Helper"} {
			if strings.Contains(spec.Name.Name, word) {
				t.Errorf("%s: a type named %s says nothing; name what it is", name, spec.Name.Name)
			}
		}
		if i, ok := spec.Type.(*ast.InterfaceType); ok && i.Methods.NumFields() > 5 {
			t.Errorf("%s: interface %s has %d methods; at most 5", name, spec.Name.Name, i.Methods.NumFields())
		}
	}
}
