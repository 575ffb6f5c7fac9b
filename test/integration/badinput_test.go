//go:build integration

package integration

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
)

// What bad input gets: the exit code, lines that say it all, and nothing left
// behind.
func TestBadInput(t *testing.T) {
	t.Parallel()
	h := newHost(t).up()
	h.patchbay("network", "create", "web", "--subnet", "10.40.0.0/24", "--subnet-v6", "fd40::/64")
	h.patchbay("network", "create", "tiny", "--subnet", "10.41.0.0/29")
	h.patchbay("run", "-d", "--name", "one", "--network", "web,ip=10.40.0.9,mac=02:00:00:00:00:09", "box", "sleep", "1000")
	for range 5 { // and the gateway: a /29 has 6 addresses
		h.patchbay("run", "-d", "--network", "tiny", "box", "sleep", "1000")
	}
	between := h.between()
	containers := h.patchbay("list", "-a", "-q")
	networks := h.patchbay("network", "list", "-q")

	usage, failure, engine := []int{2}, []int{1}, []int{125}
	either := []int{1, 2} // where the fault is found, at the flag or by the server, is free
	network := func(args ...string) []string { return append([]string{"network", "create"}, args...) }
	run := func(args ...string) []string { return append([]string{"run", "--rm"}, args...) }
	for name, tt := range map[string]struct {
		args  []string
		codes []int
		want  []string // in the lines, in any case
	}{
		"bad network name":           {network("Über net"), either, []string{"Über net", "a-z"}},
		"duplicate network name":     {network("web"), failure, []string{"web", "exists"}},
		"bad subnet":                 {network("n", "--subnet", "10.0.0.0"), either, []string{"10.0.0.0", "/24"}},
		"host bits":                  {network("n", "--subnet", "10.50.0.1/24"), either, []string{"10.50.0.1/24"}},
		"v6 as v4":                   {network("n", "--subnet", "fd00::/64"), either, []string{"fd00::/64"}},
		"v4 as v6":                   {network("n", "--subnet-v6", "10.50.0.0/24"), either, []string{"10.50.0.0/24"}},
		"overlap with a network":     {network("n", "--subnet", "10.40.0.0/16"), failure, []string{"10.40.0.0/16", "web"}},
		"overlap with the host":      {network("n", "--subnet", "192.0.2.0/24"), failure, []string{"192.0.2.0/24", "overlap"}},
		"subnet too small":           {network("n", "--subnet", "10.50.0.0/32"), either, []string{"10.50.0.0/32"}},
		"multicast subnet":           {network("n", "--subnet", "224.0.0.0/24"), either, []string{"224.0.0.0/24"}},
		"unknown plugin":             {network("n", "--plugin", "nowhere"), failure, []string{"nowhere", "bridge", "macvlan"}},
		"unknown variant":            {network("n", "--plugin", "bridge", "--plugin-variant", "odd"), failure, []string{"odd", "nat", "internal"}},
		"unknown option":             {network("n", "--option", "colour=red"), failure, []string{"colour"}},
		"malformed option":           {network("n", "--option", "colour"), usage, []string{"colour", "="}},
		"macvlan without its parent": {network("n", "--plugin", "macvlan", "--option", "parent=nowhere"), failure, []string{"nowhere", "parent"}},
		"macvlan on loopback":        {network("n", "--plugin", "macvlan", "--option", "parent=lo"), failure, []string{"lo", "give one"}},
		"device without its name":    {network("n", "--plugin", "host-device"), failure, []string{"device=eth1"}},
		"device that is needed":      {network("n", "--plugin", "host-device", "--option", "device=lo"), failure, []string{"lo", "give another"}},
		"user mode mtu":              {network("n", "--plugin", "usermode", "--mtu", "70"), failure, []string{"70", "1280"}},
		"runtime as network plugin":  {network("n", "--plugin", "oci"), failure, []string{"oci", "bridge, host-device, macvlan, usermode"}},
		"route's gateway outside":    {network("n", "--route", "10.60.0.0/16=192.0.2.9"), failure, []string{"192.0.2.9", "subnet"}},
		"default route":              {network("n", "--route", "0.0.0.0/0"), usage, []string{"gateway-priority"}},
		"range backwards":            {network("n", "--reserve", "10.0.0.9-10.0.0.1"), usage, []string{"10.0.0.1-10.0.0.9"}},
		"range outside":              {network("n", "--subnet", "10.51.0.0/24", "--reserve", "10.52.0.0/28"), either, []string{"10.52.0.0/28", "10.51.0.0/24"}},
		"no file of networks":        {[]string{"network", "create", "--file", "/nowhere.toml"}, failure, []string{"/nowhere.toml"}},
		"connect to none":            {[]string{"network", "connect", "none", "one"}, usage, []string{"none", "no network"}},
		"connect a taken name":       {[]string{"network", "connect", "tiny,ifname=eth0", "one"}, either, []string{"eth0"}},
		"connect without words":      {[]string{"network", "connect"}, usage, []string{"NETWORK", "CONTAINER"}},
		"disconnect what it is not":  {[]string{"network", "disconnect", "tiny", "one"}, failure, []string{"tiny", "one"}},
		"update without a change":    {[]string{"network", "update", "web"}, usage, []string{"flag"}},
		"update to an unfit mtu":     {[]string{"network", "update", "web", "--mtu", "100"}, failure, []string{"100", "1280"}},
		"two variants":               {network("n", "--internal", "--plugin-variant", "nat"), usage, []string{"internal", "nat"}},
		"network mtu":                {network("n", "--mtu", "12"), either, []string{"12", "mtu"}},
		"all faults at once":         {network("n", "--subnet", "10.0.0.0", "--subnet-v6", "nonsense"), either, []string{"10.0.0.0", "nonsense"}},
		"network in use":             {[]string{"network", "delete", "web"}, failure, []string{"web", "one"}},
		"built-in network":           {[]string{"network", "delete", "default"}, failure, []string{"default", "built"}},
		"delete unknown network":     {[]string{"network", "delete", "nowhere"}, failure, []string{"nowhere", "not found"}},

		"duplicate container name":  {[]string{"create", "--name", "one", "box", "true"}, failure, []string{"one", "want another"}},
		"bad container name":        {[]string{"create", "--name", "a b", "box", "true"}, either, []string{"a b"}},
		"unknown network":           {run("--network", "nowhere", "box", "true"), engine, []string{"nowhere", "not found"}},
		"unknown image":             {run("--pull", "never", "nothing:1", "true"), engine, []string{"nothing:1", "image pull"}},
		"unknown runtime":           {run("--runtime", "vroom", "box", "true"), engine, []string{"vroom", "oci"}},
		"unknown network key":       {run("--network", "web,colour=red", "box", "true"), usage, []string{"colour", "mac", "ifname"}},
		"duplicate ip":              {run("--network", "web,ip=10.40.0.9", "box", "true"), engine, []string{"10.40.0.9", "one"}},
		"duplicate mac":             {run("--network", "web,mac=02:00:00:00:00:09", "box", "true"), engine, []string{"02:00:00:00:00:09", "one"}},
		"ip outside":                {run("--network", "web,ip=10.99.0.1", "box", "true"), engine, []string{"10.99.0.1", "10.40.0.0/24"}},
		"gateway's ip":              {run("--network", "web,ip=10.40.0.1", "box", "true"), engine, []string{"10.40.0.1"}},
		"broadcast ip":              {run("--network", "web,ip=10.40.0.255", "box", "true"), engine, []string{"10.40.0.255"}},
		"no ip at all":              {run("--network", "web,ip=ten", "box", "true"), usage, []string{"ten"}},
		"multicast mac":             {run("--network", "web,mac=01:00:00:00:00:01", "box", "true"), usage, []string{"01:00:00:00:00:01", "multicast"}},
		"attachment mtu":            {run("--network", "web,mtu=9001", "box", "true"), engine, []string{"9001", "mtu"}},
		"tiny mtu":                  {run("--network", "web,mtu=12", "box", "true"), []int{2, 125}, []string{"12", "mtu"}},
		"exhausted subnet":          {run("--network", "tiny", "box", "true"), engine, []string{"tiny", "10.41.0.0/29"}},
		"none and another":          {run("--network", "none", "--network", "web", "box", "true"), usage, []string{"none"}},
		"same interface name twice": {run("--network", "web,ifname=x", "--network", "tiny,ifname=x", "box", "true"), []int{2, 125}, []string{"x"}},
		"unknown capability":        {run("--cap-add", "FLY", "box", "true"), []int{2, 125}, []string{"FLY"}},
		"little memory":             {run("--memory", "1k", "box", "true"), []int{2, 125}, []string{"memory"}},
		"relative mount":            {run("-v", "data:rel", "box", "true"), []int{2, 125}, []string{"rel", "absolute"}},
		"bad environment":           {run("-e", "=x", "box", "true"), []int{2, 125}, []string{"=x"}},
		"unknown user":              {run("-u", "nobody-here", "box", "true"), []int{125, 126}, []string{"nobody-here"}},
		"delete a running one":      {[]string{"delete", "one"}, failure, []string{"one", "running", "force"}},
		"start a running one":       {[]string{"start", "one"}, failure, []string{"one", "running"}},
		"image in use":              {[]string{"image", "delete", "box"}, failure, []string{"box", "one"}},
		"address of another host":   {run("-p", "192.0.2.250:8080:80", "box", "true"), engine, []string{"192.0.2.250"}},
		"port twice":                {run("-p", "8080:80", "-p", "8080:81", "box", "true"), []int{2, 125}, []string{"8080", "twice"}},
		"ports without end":         {run("-p", "1-65535:1-65535", "box", "true"), []int{2, 125}, []string{"65535", "4096"}},
		"port without a network":    {run("--network", "none", "-p", "8080:80", "box", "true"), []int{2, 125}, []string{"network"}},
		"processors of no host":     {run("--cpus", "100000", "box", "true"), engine, []string{"100000", "host has"}},
		"network plugin to run by":  {run("--runtime", "bridge", "box", "true"), engine, []string{"bridge", "oci"}},
		"missing source":            {run("-v", "/nowhere:/x", "box", "true"), engine, []string{"/nowhere"}},
		"exec in nobody":            {[]string{"exec", "nobody", "true"}, engine, []string{"nobody", "not found"}},
		"unknown signal":            {[]string{"kill", "-s", "NOPE", "one"}, usage, []string{"NOPE", "TERM"}},
		"archive that is none":      {[]string{"image", "import", "/etc/passwd", "x:1"}, failure, []string{"/etc/passwd", "tar archive"}},
		"archive into nowhere":      {[]string{"image", "save", "-o", "/nowhere/x.tar", "box"}, failure, []string{"/nowhere"}},
		"help for nothing":          {[]string{"help", "nowhere"}, usage, []string{"nowhere"}},
		"no arguments":              {[]string{"run"}, usage, []string{"image"}},
		"no such archive":           {[]string{"image", "load", "-i", "/nowhere.tar"}, failure, []string{"/nowhere.tar"}},
	} {
		t.Run(name, func(t *testing.T) {
			r := h.try(tt.args...)
			wantRefusal(t, r, tt.codes, tt.want...)
		})
	}

	if now := h.patchbay("list", "-a", "-q"); now != containers {
		t.Errorf("containers: got\n%s\nwant those of before\n%s", now, containers)
	}
	if now := h.patchbay("network", "list", "-q"); now != networks {
		t.Errorf("networks: got\n%s\nwant those of before\n%s", now, networks)
	}
	eventually(t, settle, func() error { return between.same(h.snapshot()) })
}

// wantRefusal checks how the command line refuses: each line names the program,
// and together they hold the words.
func wantRefusal(t *testing.T, r result, codes []int, words ...string) {
	t.Helper()
	if !slices.Contains(codes, r.code) {
		t.Errorf("want exit code %v: %s", codes, r)
	}
	text := strings.ToLower(r.stderr)
	for _, word := range words {
		if !strings.Contains(text, strings.ToLower(word)) {
			t.Errorf("want %q in the error: %s", word, r)
		}
	}
	if r.stdout != "" {
		t.Errorf("want nothing on standard output: %s", r)
	}
	lines := strings.Split(strings.TrimSpace(r.stderr), "\n")
	for _, line := range lines {
		if !strings.HasPrefix(line, "patchbay: ") {
			t.Errorf("want each line to start with the program's name: %s", r)
			break
		}
	}
	if len(lines) > 6 || strings.Contains(text, "goroutine ") || strings.Contains(text, "internal error") {
		t.Errorf("want few lines that a user understands: %s", r)
	}
}

func TestDaemonNotRunning(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	for _, args := range [][]string{{"list"}, {"network", "list"}, {"image", "list"}, {"system", "info"}} {
		wantRefusal(t, h.try(args...), []int{1}, "not running", "patchbay system start")
	}
	wantRefusal(t, h.try("run", "box", "true"), []int{125}, "not running", "patchbay system start")
	if r := h.try("system", "status"); r.code != 3 {
		t.Errorf("system status: want exit code 3: %s", r)
	}
	h.patchbay("system", "stop", "-t", "0")
	h.patchbay("system", "start")
	h.patchbay("system", "start")
}

func TestDaemonDoesNotStart(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	h.write("config.toml", []byte("[network]\ncolour = \"red\"\n"), 0o644)
	wantRefusal(t, h.try("system", "start"), []int{1}, "config.toml", "colour")
	h.write("config.toml", nil, 0o644)
	h.patchbay("system", "start")
}

func TestNoRootRights(t *testing.T) {
	t.Parallel()
	h := newHost(t).up()
	dir, err := os.MkdirTemp("/tmp", "pb")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, program := range []string{"patchbay", "patchbayd"} {
		content, err := os.ReadFile(binary(program))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, program), content, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	// The roots are reachable: what refuses is Patchbay, not a closed directory.
	if err := os.Chmod(h.dir, 0o755); err != nil {
		t.Fatal(err)
	}
	asNobody := func(program string, args ...string) result {
		p := h.prepare(nil, filepath.Join(dir, program), args...)
		p.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
		if err := h.ns.Do(p.Start); err != nil {
			t.Fatal(err)
		}
		return h.wait(p)
	}
	wantRefusal(t, asNobody("patchbay", "list"), []int{1}, "root")
	r := asNobody("patchbayd", "--root", "/tmp/pbnobody/root", "--run-root", "/tmp/pbnobody/run")
	if r.code == 0 || !strings.Contains(r.stderr, "root") {
		t.Errorf("patchbayd without root rights: want it refused: %s", r)
	}
}
