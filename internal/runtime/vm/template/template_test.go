package template

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/containerd/errdefs"
	"golang.org/x/sys/unix"
)

func key(memory int64) Key {
	return Key{
		Host: Host{Boot: "boot", Processor: "processor"}, QEMU: "qemu", Kernel: "kernel", Agent: "agent",
		Machine: []string{"-m", fmt.Sprint(memory)}, Accelerator: "tcg", MemoryBytes: memory, CPUs: 1,
	}
}

// fill writes a template whose parts hold a text.
func fill(text string) func(*os.File, io.Writer) error {
	return func(memory *os.File, saved io.Writer) error {
		_, err := memory.WriteAt([]byte(text), 0)
		_, err2 := io.WriteString(saved, text)
		return errors.Join(err, err2)
	}
}

func make1(t *testing.T, s Store, k Key, text string) Info {
	t.Helper()
	info, err := s.Make(k, fill(text))
	if err != nil {
		t.Fatal(err)
	}
	return info
}

// holds wants the template with a key to be there, with a text.
func holds(t *testing.T, s Store, k Key, text string) *Template {
	t.Helper()
	found, err := s.Open(k)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { found.Close() })
	memory := make([]byte, len(text))
	if _, err := found.Memory.ReadAt(memory, 0); err != nil || string(memory) != text || string(found.Saved) != text {
		t.Errorf("memory %q, saved %q, %v, want %q", memory, found.Saved, err, text)
	}
	if _, err := found.Memory.Write([]byte("x")); err == nil {
		t.Error("the memory of a template can be written")
	}
	return found
}

func lacks(t *testing.T, s Store, k Key) {
	t.Helper()
	if found, err := s.Open(k); !errdefs.IsNotFound(err) {
		t.Errorf("got %v, %v, want none", found, err)
	}
}

// left are the entries of the store's directory, but for the lock.
func left(t *testing.T, s Store) []string {
	t.Helper()
	entries, err := os.ReadDir(s.Dir)
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, e := range entries {
		if e.Name() != ".lock" {
			out = append(out, e.Name())
		}
	}
	return out
}

func store(t *testing.T) Store { return Store{Dir: filepath.Join(t.TempDir(), "templates")} }

func TestATemplateIsMadeOnceAndFound(t *testing.T) {
	t.Parallel()
	s, k := store(t), key(1<<20)
	lacks(t, s, k)
	if info := make1(t, s, k, "first"); info.Uses != 0 || info.Bytes == 0 || !reflect.DeepEqual(info.Key, k) || time.Since(info.BuiltAt) > time.Hour {
		t.Errorf("got %+v", info)
	}
	make1(t, s, k, "second")
	holds(t, s, k, "first")
	holds(t, s, k, "first")
	all, err := s.List()
	if err != nil || len(all) != 1 || all[0].Uses != 2 {
		t.Errorf("list: %+v, %v, want one with 2 uses", all, err)
	}
	lacks(t, s, key(2<<20))
}

func TestEveryPartOfAKeyCounts(t *testing.T) {
	t.Parallel()
	seen := map[string]string{key(1).id(): "none"}
	var walk func(name string, v reflect.Value, k *Key)
	walk = func(name string, v reflect.Value, k *Key) {
		switch v.Kind() {
		case reflect.Struct:
			for i := range v.NumField() {
				walk(name+"."+v.Type().Field(i).Name, v.Field(i), k)
			}
			return
		case reflect.String:
			v.SetString("other")
		case reflect.Slice:
			v.Set(reflect.ValueOf([]string{"other"}))
		default:
			v.SetInt(7)
		}
		if name == ".Format" { // that of this package, whatever is said
			return
		}
		if same, ok := seen[k.id()]; ok {
			t.Errorf("another %s makes the same id as another %s", name, same)
		}
		seen[k.id()] = name
	}
	k := key(1)
	walk("", reflect.ValueOf(&k).Elem(), &k)
	if len(seen) < 10 {
		t.Errorf("looked at %d parts", len(seen))
	}
}

func TestACopyIsOnesOwn(t *testing.T) {
	t.Parallel()
	s, k := store(t), key(64<<20)
	_, err := s.Make(k, func(memory *os.File, _ io.Writer) error {
		_, err := memory.WriteAt([]byte("begin"), 0)
		_, err2 := memory.WriteAt([]byte("end"), k.MemoryBytes-3)
		return errors.Join(err, err2)
	})
	if err != nil {
		t.Fatal(err)
	}
	found, err := s.Open(k)
	if err != nil {
		t.Fatal(err)
	}
	defer found.Close()
	out, err := found.Copy()
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	want, err := io.ReadAll(io.NewSectionReader(found.Memory, 0, k.MemoryBytes))
	if err != nil {
		t.Fatal(err)
	}
	got, err := io.ReadAll(io.NewSectionReader(out, 0, k.MemoryBytes+1))
	if err != nil || !bytes.Equal(got, want) || !bytes.HasPrefix(got, []byte("begin")) || !bytes.HasSuffix(got, []byte("end")) {
		t.Errorf("%d bytes, want %d that are the same, %v", len(got), len(want), err)
	}
	var info unix.Stat_t
	if err := unix.Fstat(int(out.Fd()), &info); err != nil || info.Blocks*512 > 4<<20 {
		t.Errorf("the copy takes %d bytes, %v", info.Blocks*512, err)
	}
	if _, err := out.WriteAt([]byte("x"), 0); err != nil {
		t.Error(err)
	}
	first := make([]byte, 1)
	if _, err := found.Memory.ReadAt(first, 0); err != nil || first[0] != 'b' {
		t.Errorf("the template after a change of its copy: %q, %v", first, err)
	}
}

func TestManyWantTheSame(t *testing.T) {
	t.Parallel()
	s, k := store(t), key(1<<20)
	var made atomic.Int32
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			_, err := s.Make(k, func(memory *os.File, saved io.Writer) error {
				made.Add(1)
				return fill("text")(memory, saved)
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if made.Load() != 1 {
		t.Errorf("made %d times", made.Load())
	}
	holds(t, s, k, "text")
}

func TestNothingIsLeftOfOneThatFails(t *testing.T) {
	t.Parallel()
	s, k := store(t), key(1<<20)
	full := errors.New("no space left on device")
	if _, err := s.Make(k, func(*os.File, io.Writer) error { return full }); !errors.Is(err, full) {
		t.Errorf("got %v", err)
	}
	lacks(t, s, k)
	if l := left(t, s); len(l) != 0 {
		t.Errorf("left: %v", l)
	}
}

// A builder that is killed holds no lock any more; what it left goes with the next.
func TestTheNextCleansUpAfterOneThatWasKilled(t *testing.T) {
	if dir := os.Getenv("TEMPLATE_TEST_BUILDER"); dir != "" {
		_, _ = Store{Dir: dir}.Make(key(1<<20), func(*os.File, io.Writer) error {
			fmt.Println("building")
			select {}
		})
		return
	}
	t.Parallel()
	s := store(t)
	builder := exec.Command(os.Args[0], "-test.run", "^TestTheNextCleansUpAfterOneThatWasKilled$")
	builder.Env = append(os.Environ(), "TEMPLATE_TEST_BUILDER="+s.Dir)
	out, err := builder.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := builder.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := out.Read(make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	if err := builder.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = builder.Wait() // killed
	if l := left(t, s); len(l) != 1 || !strings.HasPrefix(l[0], freshPrefix) {
		t.Fatalf("left by the killed one: %v", l)
	}
	lacks(t, s, key(1<<20))
	if err := os.Mkdir(filepath.Join(s.Dir, gonePrefix+"1"), 0o700); err != nil {
		t.Fatal(err)
	}
	make1(t, s, key(2<<20), "text")
	if l := left(t, s); len(l) != 1 || l[0] != key(2<<20).id() {
		t.Errorf("left: %v", l)
	}
}

func TestOneThatIsDamagedGoes(t *testing.T) {
	t.Parallel()
	for name, damage := range map[string]func(dir string) error{
		"state":  func(dir string) error { return os.WriteFile(filepath.Join(dir, savedFile), []byte("other"), 0o600) },
		"memory": func(dir string) error { return os.Truncate(filepath.Join(dir, memoryFile), 4096) },
		"record": func(dir string) error { return os.WriteFile(filepath.Join(dir, recordFile), []byte("{"), 0o600) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, k := store(t), key(1<<20)
			make1(t, s, k, "first")
			if err := damage(filepath.Join(s.Dir, k.id())); err != nil {
				t.Fatal(err)
			}
			lacks(t, s, k)
			if l := left(t, s); len(l) != 0 {
				t.Errorf("left: %v", l)
			}
			make1(t, s, k, "second")
			holds(t, s, k, "second")
		})
	}
}

func TestOneThatFailsIsDroppedAndNotItsSuccessor(t *testing.T) {
	t.Parallel()
	s, k := store(t), key(1<<20)
	make1(t, s, k, "first")
	first := holds(t, s, k, "first")
	if err := s.Drop(first); err != nil {
		t.Fatal(err)
	}
	lacks(t, s, k)
	if err := s.Drop(first); err != nil {
		t.Errorf("dropped again: %v", err)
	}
	make1(t, s, k, "second")
	if err := s.Drop(first); err != nil {
		t.Fatal(err)
	}
	second := holds(t, s, k, "second")
	if !s.Wanted(k) {
		t.Error("not wanted after one has failed")
	}
	if err := s.Drop(second); err != nil || s.Wanted(k) || !s.Wanted(key(2<<20)) {
		t.Errorf("%v, wanted still after two have failed, or another not", err)
	}
	note := filepath.Join(s.Dir, failedPrefix+k.id())
	then := time.Now().Add(-forgiven - time.Minute)
	if err := os.Chtimes(note, then, then); err != nil || !s.Wanted(k) {
		t.Errorf("%v, not wanted a day later", err)
	}
	make1(t, s, k, "third")
	if l := left(t, s); len(l) != 1 {
		t.Errorf("left: %v", l)
	}
	memory := make([]byte, 5)
	if _, err := first.Memory.ReadAt(memory, 0); err != nil || string(memory) != "first" {
		t.Errorf("what a machine has of it: %q, %v", memory, err)
	}
}

func TestThoseNotUsedForLongestGo(t *testing.T) {
	t.Parallel()
	s := store(t)
	var keys []Key
	for i := range maxTemplates {
		k := key(int64(i+1) << 20)
		make1(t, s, k, "text")
		then := time.Now().Add(time.Duration(i-100) * time.Minute)
		if err := os.Chtimes(filepath.Join(s.Dir, k.id(), usesFile), then, then); err != nil {
			t.Fatal(err)
		}
		keys = append(keys, k)
	}
	holds(t, s, keys[0], "text") // used now: the second is oldest
	make1(t, s, key(100<<20), "text")
	lacks(t, s, keys[1])
	for _, k := range append(keys[2:], keys[0], key(100<<20)) {
		holds(t, s, k, "text")
	}
	if l := left(t, s); len(l) != maxTemplates {
		t.Errorf("left: %v", l)
	}
}

func TestThoseOfAnotherWorldGo(t *testing.T) {
	t.Parallel()
	s, k := store(t), key(1<<20)
	make1(t, s, k, "text")
	other := key(2 << 20)
	other.Accelerator, other.CPUs = "kvm", 4
	make1(t, s, other, "text")
	holds(t, s, k, "text")
	rebooted := key(2 << 20)
	rebooted.Host.Boot = "next"
	make1(t, s, rebooted, "text")
	for _, gone := range []Key{k, other} {
		lacks(t, s, gone)
	}
	holds(t, s, rebooted, "text")
}

func TestThoseWithAnotherKernelGo(t *testing.T) {
	t.Parallel()
	s := store(t)
	if err := s.Keep("kernel"); err != nil {
		t.Errorf("with nothing there: %v", err)
	}
	make1(t, s, key(1<<20), "text")
	make1(t, s, key(2<<20), "text")
	if err := s.Keep("kernel"); err != nil {
		t.Fatal(err)
	}
	holds(t, s, key(1<<20), "text")
	if err := s.Keep("other"); err != nil {
		t.Fatal(err)
	}
	if l := left(t, s); len(l) != 0 {
		t.Errorf("left: %v", l)
	}
}

func TestThisHost(t *testing.T) {
	t.Parallel()
	first, err := ThisHost()
	if err != nil || len(first.Boot) != 36 || len(first.Processor) != 32 {
		t.Errorf("got %+v, %v", first, err)
	}
	if second, err := ThisHost(); err != nil || second != first {
		t.Errorf("then %+v, %v, first %+v", second, err, first)
	}
	a := processor([]byte("model name\t: A\ncpu MHz\t\t: 1\n\nmodel name\t: B\n"))
	if a != processor([]byte("model name\t: A\ncpu MHz\t\t: 2\n\n")) || a == processor([]byte("model name\t: B\ncpu MHz\t\t: 1\n")) {
		t.Error("the processor: want its model to count and its clock not")
	}
}

func TestProgram(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "program")
	install := func(text string) string {
		t.Helper()
		if err := os.WriteFile(path+".new", []byte(text), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(path+".new", path); err != nil {
			t.Fatal(err)
		}
		p, err := Program(path)
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	first := install("one")
	if again, err := Program(path); err != nil || again != first {
		t.Errorf("got %q, %v, want %q again", again, err, first)
	}
	if second := install("two"); second == first {
		t.Errorf("another program of the same size: %q", second)
	}
	if _, err := Program("/nowhere/program"); err == nil {
		t.Error("a program that is not there")
	}
}
