// Package reload tells nginx about new certificates. It runs as nginx's own user: nobody else may signal nginx, and whoever fetches certificates may not.
//
//	pop reload
//
//	--folder DIR     the PEMs to watch. Default: /var/lib/pop/certs
//	--pid FILE       nginx's pid file. Default: /run/nginx/nginx.pid
//	--nginx PROGRAM  Default: /usr/sbin/nginx
//	--status FILE    for `pop health`; "" for none. Default: /run/pop/reload/status.json
//
// It looks at the folder's names, times and sizes each second (a watch of the kernel's would have to be set anew whenever the folder is replaced, and be
// trusted not to have missed that). A change that has come to rest is tested with `nginx -t` and, when that succeeds, nginx's master gets SIGHUP; when not,
// nginx is left alone and it is tried again with growing pauses (to a minute) and at each further change. At its start, files younger than nginx count as a
// change. nginx that does not run is told once it does.
//
// Exit codes: 0 after SIGTERM or SIGINT, 2 a mistake in the arguments. Nothing else ends it.
//
// The status file is one object: at (of the last reload), error and errorAt (of a change nginx could not be told of).
package reload

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"time"

	"fly-pops/pop/internal/exit"
	"fly-pops/pop/internal/files"
	"fly-pops/pop/internal/small"
)

const (
	// StatusFile is where `pop health` looks.
	StatusFile   = "/run/pop/reload/status.json"
	often        = time.Second
	testPatience = 30 * time.Second
	longestPause = time.Minute
	// Of nginx's own words, the last ones.
	longestWords = 400
)

// Status is what health is told.
type Status struct {
	At      *time.Time `json:"at,omitempty"`
	Error   string     `json:"error,omitempty"`
	ErrorAt *time.Time `json:"errorAt,omitempty"`
}

type watcher struct {
	folder, pidFile, nginx, statusFile string
	now                                func() time.Time
	patience                           time.Duration // with nginx -t

	seen   string // what the folder held at the last look
	told   string // what nginx was last told of, or tested with
	failed int
	retry  time.Time
	status Status
}

// Run is the command.
func Run(arguments []string) error {
	it := &watcher{now: time.Now, patience: testPatience}
	flags := flag.NewFlagSet("pop reload", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	flags.StringVar(&it.folder, "folder", "/var/lib/pop/certs", "")
	flags.StringVar(&it.pidFile, "pid", "/run/nginx/nginx.pid", "")
	flags.StringVar(&it.nginx, "nginx", "/usr/sbin/nginx", "")
	flags.StringVar(&it.statusFile, "status", StatusFile, "")
	err := flags.Parse(arguments)
	if err == nil && flags.NArg() > 0 {
		err = fmt.Errorf("%q: no such argument", flags.Arg(0))
	}
	if err != nil {
		return exit.With(exit.Mistake, fmt.Errorf("reload: %w", err))
	}
	small.Memory()
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	it.start()
	for ticks := time.NewTicker(often); ; {
		select {
		case <-ctx.Done():
			return nil
		case <-ticks.C:
			it.look(ctx)
		}
	}
}

// start takes for told what was there when nginx started. What came later it may have read or not; to be told twice costs visitors whose next request meets
// a worker that just left, so it is not done without need.
func (it *watcher) start() {
	it.seen = it.state()
	it.told = it.seen
	it.report(nil)
	process, running := it.master()
	if !running {
		return
	}
	started, err := startOf(process)
	if err != nil {
		fmt.Fprintf(os.Stderr, "pop: when nginx started is not known, so it is told of its certificates once more: %v\n", err)
		it.told = ""
		return
	}
	entries, err := os.ReadDir(it.folder)
	if err != nil {
		return
	}
	for _, entry := range entries {
		if file, err := entry.Info(); err == nil && isPEM(entry) && file.ModTime().After(started) {
			it.told = ""
		}
	}
}

// ticks a second of the kernel's, in all it tells programs: proc_pid_stat(5).
const ticks = 100

// startOf is when a process came to be, by the clock of files. To a tick: nginx reads its certificates several of them later.
func startOf(process int) (time.Time, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", process))
	if err != nil {
		return time.Time{}, err
	}
	// The name in parentheses may hold anything; the 22nd field is the 20th after it.
	_, rest, _ := strings.Cut(string(text[max(0, bytes.LastIndexByte(text, ')')):]), " ")
	fields := strings.Fields(rest)
	if len(fields) < 20 {
		return time.Time{}, fmt.Errorf("/proc/%d/stat has %d fields", process, len(fields))
	}
	since, err := strconv.ParseInt(fields[19], 10, 64)
	if err != nil {
		return time.Time{}, err
	}
	text, err = os.ReadFile("/proc/uptime")
	if err != nil {
		return time.Time{}, err
	}
	up, _, _ := strings.Cut(string(text), " ")
	uptime, err := strconv.ParseFloat(up, 64)
	if err != nil {
		return time.Time{}, err
	}
	age := time.Duration(uptime*float64(time.Second)) - time.Duration(since)*time.Second/ticks
	return time.Now().Add(-age), nil
}

// look is one look: a change counts once it was there twice.
func (it *watcher) look(ctx context.Context) {
	state := it.state()
	if state != it.seen {
		it.seen, it.failed, it.retry = state, 0, time.Time{}
		return
	}
	if state == it.told || it.now().Before(it.retry) {
		return
	}
	if _, running := it.master(); !running {
		return // it may be reading the files this moment: told once it is there
	}
	if err := it.tell(ctx); err != nil {
		it.retry = it.now().Add(min(time.Second<<min(it.failed, 10), longestPause))
		it.failed++
		it.report(err)
		return
	}
	it.told, it.failed = state, 0
	it.report(nil)
}

// state is a mark that changes when a PEM does; what is in them is not read.
func (it *watcher) state() string {
	entries, err := os.ReadDir(it.folder)
	if err != nil {
		return "" // not there yet, or just now: the next look tells
	}
	mark := sha256.New()
	for _, entry := range entries {
		info, err := entry.Info()
		if !isPEM(entry) || err != nil {
			continue
		}
		fmt.Fprintln(mark, entry.Name(), info.Size(), info.ModTime().UnixNano(), info.Sys().(*syscall.Stat_t).Ino)
	}
	return string(mark.Sum(nil))
}

func isPEM(entry fs.DirEntry) bool {
	return filepath.Ext(entry.Name()) == ".pem" && !strings.HasPrefix(entry.Name(), ".")
}

// tell tests and signals.
func (it *watcher) tell(ctx context.Context) error {
	if err := it.test(ctx); err != nil {
		return err
	}
	// Asked for again: a test takes its time.
	process, running := it.master()
	if !running {
		return errors.New("nginx went away")
	}
	if err := syscall.Kill(process, syscall.SIGHUP); err != nil {
		return fmt.Errorf("nginx's master (%d) cannot be signalled: %w", process, err)
	}
	now := it.now().UTC().Truncate(time.Second)
	it.status.At = &now
	fmt.Fprintln(os.Stderr, "pop: nginx reads its certificates anew")
	return nil
}

// master is nginx's pid, if that is still nginx: a pid file outlives a killed process, and numbers come round again.
func (it *watcher) master() (process int, running bool) {
	text, err := os.ReadFile(it.pidFile)
	if err != nil {
		return 0, false
	}
	process, err = strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil || process < 2 {
		return 0, false
	}
	name, err := os.ReadFile(fmt.Sprintf("/proc/%d/comm", process))
	return process, err == nil && strings.TrimSpace(string(name)) == filepath.Base(it.nginx)
}

// stamp is when and who said it: without, the same reason is the same words.
var stamp = regexp.MustCompile(`\d{4}/\d\d/\d\d \d\d:\d\d:\d\d |\d+#\d+: `)

func (it *watcher) test(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, it.patience)
	defer cancel()
	command := exec.CommandContext(ctx, it.nginx, "-t", "-q")
	command.WaitDelay = time.Second
	words, err := command.CombinedOutput()
	if err == nil {
		return nil
	}
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return fmt.Errorf("nginx -t took longer than %s; nginx goes on with what it has", it.patience)
	}
	line := strings.Join(strings.Fields(stamp.ReplaceAllString(string(words), "")), " ")
	if line == "" {
		line = err.Error()
	}
	if len(line) > longestWords {
		line = "..." + strings.ToValidUTF8(line[len(line)-longestWords:], "")
	}
	return fmt.Errorf("nginx refuses what is there and goes on with what it has: %s", line)
}

func (it *watcher) report(err error) {
	before := it.status.Error
	it.status.Error, it.status.ErrorAt = "", nil
	if err != nil {
		now := it.now().UTC().Truncate(time.Second)
		it.status.Error, it.status.ErrorAt = err.Error(), &now
		if it.status.Error != before {
			fmt.Fprintf(os.Stderr, "pop: %v\n", err)
		}
	}
	if it.statusFile == "" {
		return
	}
	if err := files.ReplaceJSON(it.statusFile, it.status); err != nil {
		fmt.Fprintf(os.Stderr, "pop: status of reload: %v\n", err)
	}
}
