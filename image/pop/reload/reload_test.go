package reload

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"fly-pops/pop/internal/exit"
)

// The test program itself stands in for nginx, called by a link of that name: `nginx -t` does what a file says, `nginx` tells on standard output what
// signals it got. The real one is signalled in the image's own tests.
func TestMain(m *testing.M) {
	if verdict := os.Getenv("STANDS_IN_FOR_NGINX"); verdict != "" {
		os.Exit(standIn(verdict))
	}
	os.Exit(m.Run())
}

func standIn(verdict string) int {
	if len(os.Args) > 1 && os.Args[1] == "-t" {
		switch text, _ := os.ReadFile(verdict); string(text) {
		case "":
			return 0
		case "hang":
			time.Sleep(time.Hour)
			return 0
		default:
			fmt.Fprint(os.Stderr, string(text))
			return 1
		}
	}
	signals := make(chan os.Signal, 10)
	signal.Notify(signals, syscall.SIGHUP, syscall.SIGUSR1)
	fmt.Println("started")
	for it := range signals {
		fmt.Println(it)
	}
	return 0
}

type world struct {
	*testing.T
	*watcher
	root   string
	clock  time.Time
	output *bufio.Scanner
	master *os.Process
}

func newWorld(t *testing.T) *world {
	t.Helper()
	it := &world{T: t, root: t.TempDir(), clock: time.Now().UTC().Truncate(time.Second)}
	it.watcher = &watcher{
		folder: it.path("certs"), pidFile: it.path("nginx.pid"), nginx: it.path("nginx"), statusFile: it.path("status.json"),
		now: func() time.Time { return it.clock }, patience: 20 * time.Second,
	}
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(program, it.nginx); err != nil {
		t.Fatal(err)
	}
	t.Setenv("STANDS_IN_FOR_NGINX", it.path("verdict"))
	if err := os.Mkdir(it.folder, 0o755); err != nil {
		t.Fatal(err)
	}
	it.write("certs/a.pem", "one")
	it.age("certs/a.pem", time.Second)
	return it
}

func (it *world) path(name string) string { return filepath.Join(it.root, name) }

func (it *world) write(name, text string) {
	it.Helper()
	beside := it.path(".new")
	if err := os.WriteFile(beside, []byte(text), 0o644); err != nil {
		it.Fatal(err)
	}
	if err := os.Rename(beside, it.path(name)); err != nil {
		it.Fatal(err)
	}
}

// age makes a file that much older than it is.
func (it *world) age(name string, by time.Duration) {
	it.Helper()
	then := time.Now().Add(-by)
	if err := os.Chtimes(it.path(name), then, then); err != nil {
		it.Fatal(err)
	}
}

// run starts nginx.
func (it *world) run() {
	it.Helper()
	command := exec.Command(it.nginx)
	output, err := command.StdoutPipe()
	if err != nil {
		it.Fatal(err)
	}
	if err := command.Start(); err != nil {
		it.Fatal(err)
	}
	it.master, it.output = command.Process, bufio.NewScanner(output)
	it.Cleanup(func() { _ = command.Process.Kill(); _ = command.Wait() })
	it.says("started")
	it.write("nginx.pid", strconv.Itoa(command.Process.Pid)+"\n")
}

func (it *world) says(want string) {
	it.Helper()
	if !it.output.Scan() || it.output.Text() != want {
		it.Errorf("nginx says %q, want %q", it.output.Text(), want)
	}
}

// silent: no signal came before this one.
func (it *world) silent() {
	it.Helper()
	if err := it.master.Signal(syscall.SIGUSR1); err != nil {
		it.Fatal(err)
	}
	it.says("user defined signal 1")
}

// looks passes so many seconds.
func (it *world) looks(seconds int) {
	for range seconds {
		it.clock = it.clock.Add(time.Second)
		it.look(it.Context())
	}
}

func (it *world) told() Status {
	it.Helper()
	text, err := os.ReadFile(it.statusFile)
	if err != nil {
		it.Fatal(err)
	}
	var status Status
	if err := json.Unmarshal(text, &status); err != nil {
		it.Fatal(err)
	}
	return status
}

func TestTellsNginxOfAChangeOnce(t *testing.T) {
	it := newWorld(t)
	it.run()
	it.start()
	it.looks(5)
	it.silent()
	it.write("certs/a.pem", "two")
	it.looks(5)
	it.says("hangup")
	it.silent()
	if status := it.told(); status.At == nil || status.Error != "" {
		t.Errorf("status %+v", status)
	}
}

func TestWhatCountsAsAChange(t *testing.T) {
	for name, test := range map[string]struct {
		change func(*world)
		counts bool
	}{
		"another content of the same length": {func(it *world) { it.write("certs/a.pem", "two") }, true},
		"a new file":                         {func(it *world) { it.write("certs/b.pem", "one") }, true},
		"a file less":                        {func(it *world) { os.Remove(it.path("certs/a.pem")) }, true},
		"a half-written one":                 {func(it *world) { it.write("certs/.a.pem.123", "tw") }, false},
		"one that was put aside":             {func(it *world) { it.write("certs/a.pem.broken", "two") }, false},
		"nothing":                            {func(*world) {}, false},
	} {
		t.Run(name, func(t *testing.T) {
			it := newWorld(t)
			it.run()
			it.start()
			test.change(it)
			it.looks(3)
			if test.counts {
				it.says("hangup")
			}
			it.silent()
		})
	}
}

func TestManyChangesAreOneReload(t *testing.T) {
	it := newWorld(t)
	it.run()
	it.start()
	for i := range 10 {
		it.write(fmt.Sprintf("certs/%d.pem", i), "one")
		it.looks(1)
	}
	it.looks(2)
	it.says("hangup")
	it.silent()
}

func TestNginxKeepsWhatItHasWhenItWouldRefuseTheNew(t *testing.T) {
	it := newWorld(t)
	it.run()
	it.start()
	it.write("verdict", "2026/11/24 08:09:41 [emerg] 206#206: cannot load certificate\n  \"a.pem\": bad end line\n")
	it.write("certs/a.pem", "two")
	it.looks(10)
	it.silent()
	status := it.told()
	if !strings.Contains(status.Error, `goes on with what it has: [emerg] cannot load certificate "a.pem": bad end line`) || status.ErrorAt == nil {
		t.Errorf("status %+v", status)
	}
	it.write("verdict", "")
	it.looks(60)
	it.says("hangup")
	it.silent()
	if status := it.told(); status.Error != "" || status.At == nil {
		t.Errorf("status %+v", status)
	}
}

func TestAFurtherChangeIsTriedAtOnce(t *testing.T) {
	it := newWorld(t)
	it.run()
	it.start()
	it.write("verdict", "no")
	it.write("certs/a.pem", "two")
	it.looks(300)
	it.write("verdict", "")
	it.write("certs/a.pem", "three")
	it.looks(2)
	it.says("hangup")
}

func TestATestThatHangsIsGivenUp(t *testing.T) {
	it := newWorld(t)
	it.patience = 50 * time.Millisecond
	it.run()
	it.start()
	it.write("verdict", "hang")
	it.write("certs/a.pem", "two")
	it.looks(2)
	it.silent()
	if status := it.told(); !strings.Contains(status.Error, "longer than 50ms") {
		t.Errorf("status %+v", status)
	}
}

func TestNginxThatIsAwayIsToldWhenItIsBack(t *testing.T) {
	it := newWorld(t)
	it.start()
	it.write("certs/a.pem", "two")
	it.looks(10)
	it.run()
	it.looks(2)
	it.says("hangup")
	it.silent()
}

func TestFilesYoungerThanNginxCountAtTheStart(t *testing.T) {
	it := newWorld(t)
	it.run()
	it.age("certs/a.pem", -time.Second)
	it.start()
	it.looks(2)
	it.says("hangup")
	it.silent()
}

// A first boot makes its certificates a moment before nginx reads them: a reload right after would cost its first visitors.
func TestFilesAMomentOlderThanNginxDoNot(t *testing.T) {
	it := newWorld(t)
	it.age("certs/a.pem", 50*time.Millisecond)
	it.run()
	it.start()
	it.looks(10)
	it.silent()
	it.write("certs/a.pem", "two")
	it.looks(2)
	it.says("hangup")
	it.silent()
}

// A pid that was given to another process since must not be signalled.
func TestAPidFileThatIsWrong(t *testing.T) {
	for name, text := range map[string]string{
		"another process": strconv.Itoa(os.Getpid()), "init": "1", "nobody": "4194305", "everybody": "-1", "own group": "0", "words": "nginx", "empty": "",
	} {
		t.Run(name, func(t *testing.T) {
			it := newWorld(t)
			it.run()
			it.start()
			it.write("nginx.pid", text)
			it.write("certs/a.pem", "two")
			it.looks(5)
			it.silent()
		})
	}
}

func TestAFolderThatComesLater(t *testing.T) {
	it := newWorld(t)
	it.run()
	if err := os.RemoveAll(it.folder); err != nil {
		t.Fatal(err)
	}
	it.start()
	it.looks(3)
	if err := os.Mkdir(it.folder, 0o755); err != nil {
		t.Fatal(err)
	}
	it.write("certs/a.pem", "one")
	it.looks(3)
	it.says("hangup")
}

func TestArguments(t *testing.T) {
	for _, arguments := range [][]string{{"now"}, {"--colour"}} {
		if err := Run(arguments); exit.Code(err) != exit.Mistake {
			t.Errorf("%v: %v", arguments, err)
		}
	}
}
