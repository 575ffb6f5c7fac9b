package layers

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "patchbay.dev/patchbay"

// file is one Go file of the module.
type file struct {
	path    string // relative to the root of the module
	test    bool
	doc     string // comment of the package clause
	imports []string
	source  []byte
	syntax  *ast.File
}

// pkg is one folder with Go files; test files count with it.
type pkg struct {
	path  string // relative to the root of the module
	files []file
}

// imports returns what the package's own files import, or its test files.
func (p pkg) imports(test bool) []string {
	var out []string
	for _, f := range p.files {
		if f.test == test {
			out = append(out, f.imports...)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

func root(t *testing.T) string {
	t.Helper()
	dir, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(dir, "go.mod")); err != nil {
		t.Fatal(err)
	}
	return dir
}

// packages parses all Go files of the module, and of no module inside it.
func packages(t *testing.T) []pkg {
	t.Helper()
	dir := root(t)
	byPath := map[string]*pkg{}
	err := filepath.WalkDir(dir, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		relative, _ := filepath.Rel(dir, name)
		if d.IsDir() {
			return enter(name, relative, d.Name())
		}
		if !strings.HasSuffix(name, ".go") {
			return nil
		}
		f, err := parse(name, filepath.ToSlash(relative))
		if err != nil {
			return err
		}
		key := path.Dir(f.path)
		if byPath[key] == nil {
			byPath[key] = &pkg{path: key}
		}
		byPath[key].files = append(byPath[key].files, f)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	var out []pkg
	for _, p := range byPath {
		out = append(out, *p)
	}
	slices.SortFunc(out, func(a, b pkg) int { return strings.Compare(a.path, b.path) })
	return out
}

// enter skips what the go command does not see as part of the module.
func enter(name, relative, base string) error {
	if relative == "." {
		return nil
	}
	if strings.HasPrefix(base, ".") || base == "testdata" || relative == "dist" {
		return filepath.SkipDir
	}
	if _, err := os.Stat(filepath.Join(name, "go.mod")); err == nil {
		return filepath.SkipDir
	}
	return nil
}

func parse(name, relative string) (file, error) {
	source, err := os.ReadFile(name)
	if err != nil {
		return file{}, err
	}
	syntax, err := parser.ParseFile(token.NewFileSet(), name, source, parser.ParseComments)
	if err != nil {
		return file{}, err
	}
	f := file{path: relative, test: strings.HasSuffix(relative, "_test.go"), source: source, syntax: syntax}
	if syntax.Doc != nil {
		f.doc = syntax.Doc.Text()
	}
	for _, spec := range syntax.Imports {
		imported, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			return file{}, err
		}
		f.imports = append(f.imports, imported)
	}
	return f, nil
}

// own returns the path of a package of this module relative to its root.
func own(imported string) (string, bool) {
	return strings.CutPrefix(imported, module+"/")
}

// matches reports whether a pattern, a path or a path and "/...", covers a
// package.
func matches(pattern, name string) bool {
	if prefix, ok := strings.CutSuffix(pattern, "/..."); ok {
		return name == prefix || strings.HasPrefix(name, prefix+"/")
	}
	return name == pattern
}

func matchesAny(patterns []string, name string) bool {
	return slices.ContainsFunc(patterns, func(p string) bool { return matches(p, name) })
}

// generated reports whether a file was written by a program.
func (f file) generated() bool { return ast.IsGenerated(f.syntax) }
