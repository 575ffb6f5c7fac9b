package layers

import (
	"bytes"
	"go/ast"
	"go/scanner"
	"go/token"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

const (
	maxFile    = 400  // code lines of a file
	maxPackage = 1500 // code lines of a package
	maxMain    = 80   // code lines of a main
)

// longer lists what is longer than the limits, with the reason.
var longer = map[string]string{
	"resource": "the nouns, a file or two each; whoever knows one knows most of them",
}

func TestEveryPackageHasOneDocComment(t *testing.T) {
	t.Parallel()
	for _, p := range packages(t) {
		var with []string
		var files int
		for _, f := range p.files {
			if f.test || f.generated() {
				continue
			}
			files++
			if f.doc != "" {
				with = append(with, f.path)
			}
		}
		if files > 0 && len(with) != 1 {
			t.Errorf("package %s: has %d package comments %v, want 1", p.path, len(with), with)
		}
	}
}

func TestSizes(t *testing.T) {
	t.Parallel()
	for _, p := range packages(t) {
		total := 0
		for _, f := range p.files {
			if f.test || f.generated() {
				continue
			}
			lines := codeLines(f.source)
			total += lines
			limit := maxFile
			if strings.HasPrefix(f.path, "cmd/") {
				limit = maxMain
			}
			if lines > limit && longer[f.path] == "" {
				t.Errorf("file %s: has %d code lines, want at most %d: split it by step, or list it with a reason", f.path, lines, limit)
			}
		}
		if total > maxPackage && longer[p.path] == "" {
			t.Errorf("package %s: has %d code lines, want at most %d: split it, or list it with a reason", p.path, total, maxPackage)
		}
	}
}

// codeLines counts the lines that hold a token.
func codeLines(source []byte) int {
	var s scanner.Scanner
	set := token.NewFileSet()
	f := set.AddFile("", set.Base(), len(source))
	s.Init(f, source, nil, 0) // comments are skipped
	lines := map[int]bool{}
	for {
		pos, tok, literal := s.Scan()
		if tok == token.EOF {
			return len(lines)
		}
		if tok == token.SEMICOLON && literal == "\n" {
			continue
		}
		first := f.Line(pos)
		for i := range strings.Count(literal, "\n") + 1 {
			lines[first+i] = true
		}
	}
}

// Names that say nothing about what a thing does.
var hollow = regexp.MustCompile(`(?i)manager|util|common|helpers\b|helperfunc`)

func TestNames(t *testing.T) {
	t.Parallel()
	for _, p := range packages(t) {
		for _, f := range p.files {
			if f.generated() {
				continue
			}
			if hollow.MatchString(filepath.Base(f.path)) || hollow.MatchString(f.syntax.Name.Name) {
				t.Errorf("file %s, package %s: the name says nothing of what it does", f.path, f.syntax.Name.Name)
			}
			for _, d := range f.syntax.Decls {
				for _, name := range declared(d) {
					if hollow.MatchString(name) {
						t.Errorf("file %s: %s: the name says nothing of what it does", f.path, name)
					}
				}
			}
		}
	}
}

func declared(d ast.Decl) []string {
	switch d := d.(type) {
	case *ast.FuncDecl:
		return []string{d.Name.Name}
	case *ast.GenDecl:
		var names []string
		for _, s := range d.Specs {
			if spec, ok := s.(*ast.TypeSpec); ok {
				names = append(names, spec.Name.Name)
			}
		}
		return names
	}
	return nil
}

// Words that no file of the project has. They are put together here so that
// this file passes.
var forbidden = []*regexp.Regexp{
	regexp.MustCompile(`\bTO` + `DO\b(\(#\d+\))?`), // only with the number of its issue
	regexp.MustCompile(`/ro` + `ot/|/ho` + `me/[a-z]|(^|[\s"'(])/wo` + `rk/`),
	regexp.MustCompile(`(?i)\b(docker|quay|ghcr)\.` + `io/`),
}

// hostNames are files in which a module path or an URL of a foreign project is
// not a place that we use.
var hostNames = regexp.MustCompile(`(^|/)go\.(mod|sum)$|\.pb\.go$`)

func TestForbiddenWords(t *testing.T) {
	t.Parallel()
	for _, name := range tracked(t) {
		if hostNames.MatchString(name) {
			continue
		}
		content, err := os.ReadFile(filepath.Join(root(t), name))
		if os.IsNotExist(err) {
			continue // deleted, not committed
		}
		if err != nil {
			t.Error(err)
			continue
		}
		if bytes.IndexByte(content, 0) >= 0 {
			continue
		}
		number := 0
		for line := range bytes.Lines(content) {
			number++
			for _, word := range forbidden {
				if m := word.Find(line); m != nil && !bytes.Contains(m, []byte("(#")) {
					t.Errorf("%s:%d: has %q", name, number, m)
				}
			}
		}
	}
}

// A link between pages leads to a file.
func TestLinks(t *testing.T) {
	t.Parallel()
	link := regexp.MustCompile(`\]\(([^)#:]+)(#[^)]*)?\)`)
	for _, name := range tracked(t) {
		if filepath.Ext(name) != ".md" {
			continue
		}
		content, err := os.ReadFile(filepath.Join(root(t), name))
		if err != nil {
			continue // deleted, not committed
		}
		for _, m := range link.FindAllSubmatch(content, -1) {
			target := filepath.Join(root(t), filepath.Dir(name), string(m[1]))
			if _, err := os.Stat(target); err != nil {
				t.Errorf("%s: links to %s, which is not there", name, m[1])
			}
		}
	}
}

// tracked lists the files that git knows.
func tracked(t *testing.T) []string {
	t.Helper()
	list := exec.Command("git", "ls-files", "-z")
	list.Dir = root(t)
	out, err := list.Output()
	if err != nil {
		t.Fatalf("git ls-files: %v", err)
	}
	return strings.Split(strings.TrimSuffix(string(out), "\x00"), "\x00")
}
