package main

// pop check NAME asks one piece of luggage whether it works, once, as the luggage's own user.
//
// How stands in /etc/pop/pop.json: a URL, well when its answer is below 400, or a program, well when it ends with 0. It leaves its word in
// /run/pop/luggage/NAME/status.json for `pop health`. Exit codes: 0 well, 1 not, 2 no such luggage.

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"fly-pops/pop/internal/exit"
	"fly-pops/pop/internal/files"
)

// Check is how one piece of luggage is asked.
type Check struct {
	// Exactly one of the two.
	URL     string   `json:"url"`
	Command []string `json:"command"`
	// Where Command runs.
	Folder         string `json:"folder"`
	EverySeconds   int    `json:"everySeconds"`
	TimeoutSeconds int    `json:"timeoutSeconds"`
}

func (it Check) problem() error {
	switch {
	case (it.URL == "") == (len(it.Command) == 0):
		return errors.New("takes exactly one of url, command")
	case it.EverySeconds < 1 || it.TimeoutSeconds < 1:
		return errors.New("everySeconds and timeoutSeconds are 1 at least")
	}
	return nil
}

// checkStatus is what health is told.
type checkStatus struct {
	At    time.Time `json:"at"`
	Error string    `json:"error,omitempty"`
}

func statusOf(run, name string) string { return filepath.Join(run, "luggage", name, "status.json") }

func check(manifest *Manifest, name, run string) error {
	it, known := manifest.Luggage[name]
	if !known {
		return exit.WithCode(exit.Usage, fmt.Errorf("check: no luggage %q with health", name))
	}
	status := checkStatus{}
	err := it.ask()
	if err != nil {
		status.Error = err.Error()
	}
	status.At = time.Now().UTC().Truncate(time.Second)
	return errors.Join(err, files.ReplaceJSON(statusOf(run, name), status))
}

func (it Check) ask() error {
	patience := time.Duration(it.TimeoutSeconds) * time.Second
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	ask := it.fetch
	if it.URL == "" {
		ask = it.start
	}
	err := ask(ctx)
	if err != nil && errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return fmt.Errorf("no answer in %s", patience)
	}
	return err
}

func (it Check) fetch(ctx context.Context) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, it.URL, nil)
	if err != nil {
		return err
	}
	client := *loopback
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	answer, err := client.Do(request)
	if err != nil {
		return errors.Unwrap(err) // without the URL, which its owner knows
	}
	answer.Body.Close()
	if answer.StatusCode >= 400 {
		return fmt.Errorf("answered %d", answer.StatusCode)
	}
	return nil
}

// start tells how the program ended and not what it said: that may be anything, and /healthz has more readers than the luggage.
func (it Check) start(ctx context.Context) error {
	command := exec.CommandContext(ctx, it.Command[0], it.Command[1:]...)
	command.Dir = it.Folder
	// Its children go with it when it takes too long.
	command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	command.Cancel = func() error { return syscall.Kill(-command.Process.Pid, syscall.SIGKILL) }
	command.WaitDelay = time.Second
	err := command.Run()
	if ended, is := errors.AsType[*exec.ExitError](err); is {
		return fmt.Errorf("%s: %s", filepath.Base(it.Command[0]), ended)
	}
	return err
}

// How often luggage may miss its turn before its silence is told.
const missedTurns = 3

const (
	longestStatus = 4 << 10
	longestReason = 200
)

// luggageComponent is what luggage left of itself.
func (h *health) luggageComponent(name string, how Check) component {
	var status checkStatus
	if readPlain(statusOf(h.run, name), longestStatus, &status) != nil {
		return component{Status: degraded, Reason: "no word from it"}
	}
	silence := time.Duration(missedTurns*how.EverySeconds+how.TimeoutSeconds) * time.Second
	if h.now().Sub(status.At) > silence {
		return component{Status: degraded, Reason: "no word since " + status.At.Format(time.RFC3339)}
	}
	return judge(degraded, told(status.Error[:min(len(status.Error), longestReason)]))
}
