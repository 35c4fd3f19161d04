// Package luggage is `pop check NAME`: it checks once whether luggage works, as the luggage's own user.
//
// The check is in /etc/pop/pop.json: a URL, which must answer with a status below 400, or a program, which must exit with 0. The result is written to
// /run/pop/luggage/NAME/status.json for `pop health`. Exit codes: 0 it works; 1 it does not; 2 there is no such luggage.
package luggage

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"fly-pops/pop/internal/exit"
	"fly-pops/pop/internal/files"
	"fly-pops/pop/internal/statusfile"
)

// Check is how luggage is checked.
type Check struct {
	// Either URL or Command.
	URL     string   `json:"url"`
	Command []string `json:"command"`
	// Working directory of Command.
	Dir            string `json:"folder"`
	EverySeconds   int    `json:"everySeconds"`
	TimeoutSeconds int    `json:"timeoutSeconds"`
}

// Validate returns what is wrong with the check.
func (c Check) Validate() error {
	switch {
	case (c.URL == "") == (len(c.Command) == 0):
		return errors.New("needs either url or command")
	case c.EverySeconds < 1 || c.TimeoutSeconds < 1:
		return errors.New("everySeconds and timeoutSeconds must be at least 1")
	}
	return nil
}

// Status is the result of the last check.
type Status struct {
	At    time.Time `json:"at"`
	Error string    `json:"error,omitempty"`
}

func statusPath(run, name string) string { return filepath.Join(run, "luggage", name, "status.json") }

// Run checks luggage once, and writes the result below `run`.
func Run(checks map[string]Check, name, run string) error {
	check, known := checks[name]
	if !known {
		return exit.WithCode(exit.Usage, fmt.Errorf("check: there is no luggage %q with health", name))
	}
	status := Status{}
	err := check.run()
	if err != nil {
		status.Error = err.Error()
	}
	status.At = time.Now().UTC().Truncate(time.Second)
	return errors.Join(err, files.ReplaceJSON(statusPath(run, name), status))
}

func (c Check) run() error {
	timeout := time.Duration(c.TimeoutSeconds) * time.Second
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	probe := c.probeHTTP
	if c.URL == "" {
		probe = c.probeExec
	}
	err := probe(ctx)
	if err != nil && errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return fmt.Errorf("no response within %s", timeout)
	}
	return err
}

func (c Check) probeHTTP(ctx context.Context) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, c.URL, nil)
	if err != nil {
		return err
	}
	client := &http.Client{
		Transport:     &http.Transport{DisableKeepAlives: true, Proxy: nil},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	response, err := client.Do(request)
	if err != nil {
		return errors.Unwrap(err) // without the URL, which the reader knows
	}
	response.Body.Close()
	if response.StatusCode >= 400 {
		return fmt.Errorf("answered %d", response.StatusCode)
	}
	return nil
}

// probeExec reports how the program ended, and not what it printed: that may be anything, and /healthz has more readers than the luggage's logs.
func (c Check) probeExec(ctx context.Context) error {
	command := exec.CommandContext(ctx, c.Command[0], c.Command[1:]...)
	command.Dir = c.Dir
	// So that its children are killed as well when it takes too long.
	command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	command.Cancel = func() error { return syscall.Kill(-command.Process.Pid, syscall.SIGKILL) }
	command.WaitDelay = time.Second
	err := command.Run()
	if exitError, ok := errors.AsType[*exec.ExitError](err); ok {
		return fmt.Errorf("%s: %s", filepath.Base(c.Command[0]), exitError)
	}
	return err
}

const (
	// Checks that may be missed before the luggage counts as silent.
	maxMissedChecks = 3

	maxStatusBytes  = 4 << 10
	maxReasonLength = 200
)

// Problem returns why luggage does not work according to its status file, or that it is missing or too old.
func (c Check) Problem(run, name string, now time.Time) error {
	var status Status
	if statusfile.Read(statusPath(run, name), maxStatusBytes, &status) != nil {
		return errors.New("no status reported")
	}
	staleAfter := time.Duration(maxMissedChecks*c.EverySeconds+c.TimeoutSeconds) * time.Second
	if now.Sub(status.At) > staleAfter {
		return fmt.Errorf("no status since %s", status.At.Format(time.RFC3339))
	}
	if status.Error == "" {
		return nil
	}
	// The cut may be within a character.
	return errors.New(strings.ToValidUTF8(status.Error[:min(len(status.Error), maxReasonLength)], ""))
}
