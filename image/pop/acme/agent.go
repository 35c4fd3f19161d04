// Package acme gets certificates from an authority by HTTP-01 (https://www.rfc-editor.org/rfc/rfc8555) and renews them, for `pop certs`.
//
// Each PoP has an account and keys of its own, made on its volume (/var/lib/pop/acme, for nobody else to read). A certificate is for all names of a site. What
// nginx gets is a copy in /var/lib/pop/certs; the last good one stays until there is a better one.
//
// A certificate is due when there is none for all of its names, or when its time for renewal has come (schedule.go). Then its names are looked at (names.go), an
// order is made (order.go), and its challenges are answered on whichever PoP they arrive (challenges.go). What is under way is on the volume before the
// authority hears of it, so that a PoP that starts again goes on with it.
package acme

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/mholt/acmez/v3/acme"

	"fly-pops/pop/internal/files"
	"fly-pops/pop/internal/pair"
	"fly-pops/pop/internal/resolve"
)

const (
	// Looks that find nobody at port 80 before that is believed: unbound and the edge may have just begun.
	looksBelieved = 3
	// An order that failed so often in a row is given up, and another is made.
	mostAttempts = 5
	// From one round to the next at most: what others change on the volume is seen then.
	longestRound = 10 * time.Minute
	longestFile  = 256 << 10
)

// Agent is what is known from one round to the next. Nothing in it is needed to serve: that is on the volume.
type Agent struct {
	config      *Config
	environment Environment
	now         func() time.Time

	tokens     *tokens
	challenges *challenges
	look       func(ctx context.Context, name string) (Reach, error)

	// Told each status; nil: nobody.
	Report func(Status)

	all   []*site
	ready bool
	// What is wrong with the environment, and with answering challenges. nil: nothing.
	misread, broken error
	// Authorities that did not answer in this round: one that hangs is not waited for once a certificate.
	silent map[string]error
}

// site is one certificate.
type site struct {
	Certificate
	saved savedOrder
	// Of an authority, on the volume; nil: none yet.
	leaf    *x509.Certificate
	content []byte
	// What the authority said of its renewal; nil: nothing.
	window *Window
	// When it is asked again.
	pollAt time.Time

	looks  int
	reach  Reach
	lookAt time.Time
	// What a look, an order or the volume came to; nil: nothing is wrong.
	problem   error
	problemAt time.Time
}

// New reads what is on the volume; nobody is asked yet.
func New(config *Config, environment Environment, problems []string, now func() time.Time) *Agent {
	it := &Agent{config: config, environment: environment, now: now, tokens: newTokens()}
	it.challenges = newChallenges(it.tokens, peersOf(environment, now), environment.Private, config.PeerPort)
	resolver := resolve.By(config.NameServer)
	if resolver == nil {
		resolver = net.DefaultResolver
	}
	it.look = (&looker{
		tokens: it.tokens, edge: environment.Addresses, isPrivate: config.isPrivate, lookup: resolver.LookupNetIP, dial: (&net.Dialer{}).DialContext,
	}).look
	if len(problems) > 0 {
		it.misread = errors.New(strings.Join(problems, "; "))
	}
	for _, certificate := range config.Certificates {
		found := &site{Certificate: certificate}
		it.all = append(it.all, found)
		it.read(found)
	}
	return it
}

// Serve answers challenges until ctx is done, and reports what is on the volume before anybody is asked.
func (it *Agent) Serve(ctx context.Context) {
	it.broken = it.challenges.serve(ctx, it.config.Socket)
	it.report(nil)
}

// StatusFile is where it belongs.
func (it *Agent) StatusFile() string { return it.config.Status }

// Round does what is due, and says how long to wait for the next.
func (it *Agent) Round(ctx context.Context) time.Duration {
	it.broken = it.challenges.serve(ctx, it.config.Socket)
	failure := it.obstacle()
	it.silent = map[string]error{}
	for _, each := range it.all {
		if ctx.Err() != nil {
			return 0
		}
		it.read(each)
		it.serveCopies(each)
		if failure == nil {
			it.tend(ctx, each)
		}
		it.report(failure)
	}
	return it.pause(failure)
}

// obstacle is what keeps any order from being made.
func (it *Agent) obstacle() error {
	if it.now().Before(pair.Earliest) {
		return fmt.Errorf("the clock here says %s: no certificate is ordered by it", it.now().UTC().Format(time.RFC3339))
	}
	if text, err := os.ReadFile(it.config.Volume); err == nil && len(bytes.TrimSpace(text)) > 0 {
		return fmt.Errorf("%s: no certificate is ordered, as its key would be lost with the memory", bytes.TrimSpace(text))
	}
	return nil
}

// read takes what is on the volume. A file that is not there, or not whole, is none.
func (it *Agent) read(of *site) {
	of.leaf, of.content = nil, nil
	if text, err := readFile(it.config.pairFile(of.Certificate)); err == nil {
		if chain, err := pair.ParseChain(string(pair.OnlyCertificates(text))); err == nil {
			of.leaf, of.content = chain[0], text
		}
	}
	of.saved = savedOrder{}
	if text, err := readFile(it.config.orderFile(of.Certificate)); err == nil && json.Unmarshal(text, &of.saved) != nil {
		of.saved = savedOrder{}
	}
}

func readFile(path string) ([]byte, error) {
	if info, err := os.Stat(path); err != nil || info.Size() > longestFile {
		return nil, errors.Join(err, fs.ErrInvalid)
	}
	return os.ReadFile(path)
}

func (it *Agent) saveOrder(of *site) error {
	return it.config.save(it.config.orderFile(of.Certificate), of.saved)
}

// serveCopies puts the last good pair where nginx looks, for each name it covers.
func (it *Agent) serveCopies(of *site) {
	if of.leaf == nil {
		return
	}
	for _, name := range of.Names {
		path := it.config.servedFile(name)
		if found, err := readFile(path); of.leaf.VerifyHostname(name) != nil || err == nil && bytes.Equal(found, of.content) {
			continue
		}
		// The folder's setgid bit hands it to nginx's group.
		if err := files.Replace(path, of.content, 0o640); err != nil {
			it.fail(of, fmt.Errorf("the certificate is not written for nginx: %w", err))
		}
	}
}

// due says whether a certificate is to be ordered now. One of an authority that the configuration does not name any more, of tests for instance, is none.
func (it *Agent) due(of *site) bool {
	return of.leaf == nil || coversAll(of.leaf, of.Names) != nil || !slices.Contains(it.config.Directories, of.saved.IssuedBy) || !it.now().Before(it.renewal(of))
}

// renewal is the time for it; of a certificate there is.
func (it *Agent) renewal(of *site) time.Time {
	return renewAt(of.leaf.NotBefore, of.leaf.NotAfter, of.window, seedOf(it.environment.Pop, pair.Serial(of.leaf))).UTC().Truncate(time.Second)
}

// tend does what is to be done for one certificate now.
func (it *Agent) tend(ctx context.Context, of *site) {
	now := it.now()
	inProgress := of.saved.Location != ""
	if inProgress && (!contains(of.Names, of.saved.Names) || !slices.Contains(it.config.Directories, of.saved.Directory)) {
		// The configuration has changed meanwhile.
		of.saved.forget()
		inProgress = false
	}
	if !inProgress && of.leaf != nil && !now.Before(of.pollAt) {
		it.askWindow(ctx, of)
	}
	if !inProgress && !it.due(of) {
		of.problem, of.looks = nil, 0
		return
	}
	if retry := of.saved.RetryAt; retry != nil && now.Before(*retry) {
		if of.problem == nil && of.saved.ErrorAt != nil {
			of.problem, of.problemAt = errors.New(of.saved.Error), *of.saved.ErrorAt
		}
		return
	}
	if inProgress {
		it.get(ctx, of, of.saved.Names)
		return
	}
	if now.Before(of.lookAt) {
		return
	}
	names, err := it.lookAt(ctx, of)
	if err != nil {
		it.fail(of, err)
		if len(names) == 0 || !it.endsBeforeLong(of) {
			return
		}
	}
	// A name that is lost does not take the others' certificate with it.
	if it.get(ctx, of, names) && err != nil {
		it.fail(of, err)
	}
}

func contains(all, some []string) bool {
	return !slices.ContainsFunc(some, func(name string) bool { return !slices.Contains(all, name) })
}

// endsBeforeLong: of one that is not there nothing can end.
func (it *Agent) endsBeforeLong(of *site) bool {
	return of.leaf != nil && isUrgent(of.leaf.NotBefore, of.leaf.NotAfter, it.now())
}

// lookAt all names, and give those that are as they must be. The first that is not is told, and ends it unless time is short.
func (it *Agent) lookAt(ctx context.Context, of *site) ([]string, error) {
	of.looks++
	reach := direct
	var names []string
	var problem error
	for _, name := range of.Names {
		found, err := it.look(ctx, name)
		switch {
		case err == nil && problem == nil:
			reach, names = max(reach, found), append(names, name)
		case err == nil:
			names = append(names, name)
		case problem == nil:
			reach, problem = found, err
		}
		if problem != nil && !it.endsBeforeLong(of) {
			break
		}
	}
	if problem != nil {
		if reach == unanswered && of.looks < looksBelieved {
			reach = unknown
		}
		of.lookAt = it.now().Add(pauseAfter(of.looks, firstLookPause, longestLookPause, 0, it.seed(of)))
	} else {
		of.looks, of.lookAt = 0, time.Time{}
	}
	of.reach = reach
	return names, problem
}

func (it *Agent) seed(of *site) float64 {
	return seedOf(it.environment.Pop, of.Names[0], it.now().String())
}

// get asks the authorities in their order: the first alone while there is time, the others when a certificate is urgent. True: there is one.
func (it *Agent) get(ctx context.Context, of *site, names []string) bool {
	var first error
	for at, directory := range it.config.Directories {
		if of.saved.Location != "" && of.saved.Directory != directory {
			continue
		}
		err := it.getFrom(ctx, of, names, directory, at == 0)
		if err == nil {
			return true
		}
		if ctx.Err() != nil {
			return false
		}
		if first == nil {
			first = err
		} else {
			first = fmt.Errorf("%w; %w", first, err)
		}
		urgent := of.leaf == nil || it.endsBeforeLong(of)
		// What is wrong with a name is wrong for all of them.
		if _, isLost := errors.AsType[lost](err); isLost || !urgent || of.saved.Location != "" {
			break
		}
	}
	it.failedAttempt(of, first)
	return false
}

// getFrom one authority. Nothing of it is lost when the process ends anywhere.
func (it *Agent) getFrom(ctx context.Context, of *site, names []string, directory string, isFirst bool) error {
	if err := it.silent[directory]; err != nil {
		return err
	}
	at, err := newAuthority(it.config, directory, it.now)
	if err != nil {
		return err
	}
	defer at.http.CloseIdleConnections()
	if err := at.greet(ctx); err != nil {
		it.silent[directory] = err
		return err
	}
	account, err := it.config.account(ctx, at)
	if err != nil {
		return err
	}
	if of.saved.Location == "" {
		of.saved.Names, of.saved.Directory = names, directory
		if of.saved.Key, err = newKey(); err != nil {
			return err
		}
		if err := it.saveOrder(of); err != nil {
			return err
		}
	}
	order := &ordering{
		config: it.config, at: at, account: account, tokens: it.tokens, now: it.now, save: func() error { return it.saveOrder(of) },
	}
	if of.saved.IssuedBy == directory {
		order.replaces = of.leaf
	}
	if isFirst {
		order.profile = it.config.Profile
	}
	leaf, content, err := order.run(ctx, &of.saved)
	if err != nil {
		return it.explain(ctx, at, account, err)
	}
	if err := files.Replace(it.config.pairFile(of.Certificate), content, 0o600); err != nil {
		return fmt.Errorf("the certificate that was issued is not written: %w", err)
	}
	of.leaf, of.content, of.window, of.pollAt, of.problem = leaf, content, nil, time.Time{}, nil
	it.serveCopies(of)
	of.saved = savedOrder{IssuedBy: directory}
	if err := it.saveOrder(of); err != nil {
		it.fail(of, err)
	}
	fmt.Fprintf(os.Stderr, "pop: certificate of %s from %s, until %s\n", strings.Join(leaf.DNSNames, ", "), directory, leaf.NotAfter.Format(time.RFC3339))
	it.askWindow(ctx, of)
	return nil
}

// explain: an account that was deactivated gets "unauthorized" for whatever it asks. One that the authority has forgotten is made again, with the same key.
func (it *Agent) explain(ctx context.Context, at *authority, account acme.Account, err error) error {
	_, isLost := errors.AsType[lost](err)
	_, isAway := errors.AsType[away](err)
	_, isLater := errors.AsType[later](err) // One that wants to be left alone is not asked for the account.
	if isLost || isAway || isLater || ctx.Err() != nil {
		return err
	}
	known, problem := at.client.GetAccount(ctx, account)
	refused, is := errors.AsType[acme.Problem](problem)
	switch {
	case is && refused.Type == acme.ProblemTypeAccountDoesNotExist:
		return errors.Join(err, it.config.forgetAccount(at.directory))
	case problem == nil && known.Status != acme.StatusValid, is && refused.Type == acme.ProblemTypeUnauthorized:
		return fmt.Errorf("%s does not take this PoP's account any more (%w): if that is meant, remove %s, and the PoP makes another",
			at.directory, err, it.config.accountFile(at.directory))
	}
	return err
}

// failedAttempt writes down why, and when it is tried again.
func (it *Agent) failedAttempt(of *site, err error) {
	it.fail(of, err)
	of.saved.Failures++
	wanted := time.Duration(0)
	if word, is := errors.AsType[later](err); is {
		wanted = word.after
	}
	first, longest := firstPause, longestPause
	if _, is := errors.AsType[away](err); is {
		first, longest = firstAwayPause, longestAwayPause
	}
	if _, is := errors.AsType[lost](err); is {
		of.saved.forget()
	}
	if of.saved.Location == "" || of.saved.Failures%mostAttempts == 0 {
		of.saved.forget() // The authority never heard of it, or it comes to nothing.
	}
	at := it.now().Add(pauseAfter(of.saved.Failures, first, longest, wanted, it.seed(of))).UTC().Truncate(time.Second)
	of.saved.RetryAt, of.saved.Error, of.saved.ErrorAt = &at, of.problem.Error(), &of.problemAt
	if saving := it.saveOrder(of); saving != nil {
		// A volume that takes nothing: the pause is at least kept in this process.
		of.lookAt = at
	}
}

func (it *Agent) fail(of *site, err error) {
	of.problem, of.problemAt = err, it.now().UTC().Truncate(time.Second)
}

// askWindow asks the authority when it wants a certificate renewed. One that does not tell, or is away, is not needed for it.
func (it *Agent) askWindow(ctx context.Context, of *site) {
	of.pollAt = it.now().Add(usualPoll)
	directory := of.saved.IssuedBy
	if it.silent[directory] != nil || !slices.Contains(it.config.Directories, directory) {
		return
	}
	at, err := newAuthority(it.config, directory, it.now)
	if err != nil {
		return
	}
	defer at.http.CloseIdleConnections()
	ctx, cancel := context.WithTimeout(ctx, exchangePatience)
	defer cancel()
	if err := at.greet(ctx); err != nil {
		it.silent[directory] = err
		return
	}
	info, err := at.client.GetRenewalInfo(ctx, of.leaf)
	if err != nil {
		return
	}
	of.window = &Window{info.SuggestedWindow.Start, info.SuggestedWindow.End}
	wait := time.Duration(0)
	if info.RetryAfter != nil {
		wait = time.Until(*info.RetryAfter)
	}
	of.pollAt = it.now().Add(pollAfter(wait))
}

// report makes the status of what is known.
func (it *Agent) report(failure error) {
	now := it.now().UTC().Truncate(time.Second)
	status := Status{At: now, Certificates: []CertificateStatus{}}
	if err := errors.Join(it.misread, it.broken, failure); err != nil {
		status.Error, status.ErrorAt = err.Error(), &now
	}
	for _, each := range it.all {
		for _, name := range each.Names {
			found := CertificateStatus{Host: name}
			if each.leaf != nil && each.leaf.VerifyHostname(name) == nil {
				renewal := it.renewal(each)
				found.NotBefore, found.NotAfter, found.Serial, found.RenewAt = &each.leaf.NotBefore, &each.leaf.NotAfter, pair.Serial(each.leaf), &renewal
			}
			if each.problem != nil {
				at := each.problemAt
				found.Error, found.ErrorAt, found.RetryAt = each.problem.Error(), &at, each.saved.RetryAt
			}
			status.Certificates = append(status.Certificates, found)
		}
	}
	status.Held = it.held()
	if it.Report != nil {
		it.Report(status)
	}
}

// held: until its first certificate is there a PoP is better not put into service, as long as others are. Once it was, it stays: challenges may arrive here.
func (it *Agent) held() bool {
	if it.ready {
		return false
	}
	waiting := false
	for _, each := range it.all {
		if each.leaf != nil {
			it.ready = true
			return false
		}
		waiting = waiting || each.reach == unknown || each.reach == viaPeer
	}
	it.ready = !waiting
	return waiting
}

// pause until something is due.
func (it *Agent) pause(failure error) time.Duration {
	now := it.now()
	next := now.Add(longestRound)
	if failure != nil {
		return min(time.Minute, longestRound)
	}
	sooner := func(at time.Time) {
		if at.Before(next) {
			next = at
		}
	}
	for _, each := range it.all {
		if each.leaf != nil {
			sooner(each.pollAt)
		}
		switch retry := each.saved.RetryAt; {
		case retry != nil && now.Before(*retry):
			sooner(*retry)
		case each.saved.Location != "" || it.due(each):
			sooner(each.lookAt)
		default:
			sooner(it.renewal(each))
		}
	}
	return max(next.Sub(now), time.Second)
}
