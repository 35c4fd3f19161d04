// Package block keeps the addresses that an operator blocked in this PoP. nginx reads the file again when it changes (image/nginx/reject.c), and ignores blocks
// that have expired.
//
//	pop block --for SECONDS ADDRESS...   blocks them for that long; an existing block is only extended. A single IPv6 address blocks its /64
//	pop unblock ADDRESS... | --all       ends blocks
//	pop blocked                          lists them
//
// Each prints what is blocked afterwards as one line of JSON: a list of address (with its bits) and until (seconds since 1970). Exit codes: 0; 1 the file
// cannot be read or written; 2 invalid arguments.
package block

import (
	"bufio"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"fly-pops/pop/internal/exit"
	"fly-pops/pop/internal/files"
)

const (
	// On the volume, in a directory of root. image/render/nginx-common.ts configures nginx to read it.
	defaultFile = "/var/lib/pop/blocked"
	// Held while a command changes the file.
	lockFile = "/run/pop/blocked.lock"
)

const (
	maxDuration = 365 * 24 * time.Hour
	// Each of nginx's workers keeps a copy, 56 bytes a block.
	maxBlocks = 10_000
	// A larger range is a typing error: it blocks a country, or everybody.
	minBits4, minBits6 = 8, 16
)

type block struct {
	Address netip.Prefix `json:"address"`
	Until   int64        `json:"until"`
}

// list is the file with the blocks. Tests use another file and another clock.
type list struct {
	file, lock string
	now        func() time.Time
}

// Run runs `pop block`, `pop unblock` or `pop blocked`; the first argument is the command.
func Run(arguments []string, out io.Writer) error {
	blocks := &list{file: defaultFile, lock: lockFile, now: time.Now}
	return blocks.run(arguments[0], arguments[1:], out)
}

func (l *list) run(command string, arguments []string, out io.Writer) error {
	flags := flag.NewFlagSet(command, flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	seconds := flags.Int64("for", 0, "")
	all := flags.Bool("all", false, "")
	if err := flags.Parse(arguments); err != nil {
		return exit.WithCode(exit.Usage, fmt.Errorf("%s: %w", command, err))
	}
	addresses, err := parsePrefixes(flags.Args())
	if err != nil {
		return exit.WithCode(exit.Usage, fmt.Errorf("%s: %w", command, err))
	}
	length := time.Duration(*seconds) * time.Second
	switch {
	case command == "block" && (*seconds < 1 || *seconds > int64(maxDuration/time.Second)):
		err = fmt.Errorf("block: --for takes seconds from 1 to %d", int64(maxDuration/time.Second))
	case command == "block" && len(addresses) == 0, command == "unblock" && len(addresses) == 0 && !*all:
		err = fmt.Errorf("%s: no address", command)
	case command == "blocked" && len(addresses) > 0:
		err = errors.New("blocked: takes no address")
	}
	if err != nil {
		return exit.WithCode(exit.Usage, err)
	}
	var left []block
	switch command {
	case "block":
		left, err = l.change(func(blocks []block) []block { return extend(blocks, addresses, l.now().Add(length).Unix()) })
	case "unblock":
		left, err = l.change(func(blocks []block) []block {
			return slices.DeleteFunc(blocks, func(found block) bool { return *all || slices.Contains(addresses, found.Address) })
		})
	default:
		left, err = l.read()
	}
	if err != nil {
		return err
	}
	return json.NewEncoder(out).Encode(left)
}

// extend adds blocks. An existing block never ends earlier than before.
func extend(blocks []block, addresses []netip.Prefix, until int64) []block {
	for _, address := range addresses {
		i := slices.IndexFunc(blocks, func(found block) bool { return found.Address == address })
		if i < 0 {
			blocks = append(blocks, block{address, until})
		} else {
			blocks[i].Until = max(blocks[i].Until, until)
		}
	}
	return blocks
}

// change modifies the file under a lock, so that concurrent commands do not overwrite each other.
func (l *list) change(modify func([]block) []block) ([]block, error) {
	lock, err := os.OpenFile(l.lock, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	defer lock.Close()
	if err := unix.Flock(int(lock.Fd()), unix.LOCK_EX); err != nil {
		return nil, err
	}
	blocks, err := l.read()
	if err != nil {
		return nil, err
	}
	blocks = modify(blocks)
	if len(blocks) > maxBlocks {
		return nil, exit.WithCode(exit.Usage, fmt.Errorf("block: this would make %d blocks, and the maximum is %d. Block ranges, or use access.deny in the stack file", len(blocks), maxBlocks))
	}
	slices.SortFunc(blocks, func(a, b block) int { return a.Address.Compare(b.Address) })
	var text strings.Builder
	for _, found := range blocks {
		fmt.Fprintf(&text, "%s %d\n", found.Address, found.Until)
	}
	return blocks, files.Replace(l.file, []byte(text.String()), 0o644)
}

// read returns the blocks that have not expired. A missing file has none, and lines that are not blocks are skipped.
func (l *list) read() ([]block, error) {
	blocks := []block{}
	file, err := os.Open(l.file)
	if errors.Is(err, fs.ErrNotExist) {
		return blocks, nil
	}
	if err != nil {
		return nil, err
	}
	defer file.Close()
	lines := bufio.NewScanner(file)
	for lines.Scan() {
		address, until, _ := strings.Cut(lines.Text(), " ")
		prefix, err := netip.ParsePrefix(address)
		seconds, secondsErr := strconv.ParseInt(until, 10, 64)
		if err == nil && secondsErr == nil && seconds > l.now().Unix() {
			blocks = append(blocks, block{prefix, seconds})
		}
	}
	return blocks, lines.Err()
}

func parsePrefixes(texts []string) ([]netip.Prefix, error) {
	prefixes := []netip.Prefix{}
	for _, text := range texts {
		prefix, err := parsePrefix(text)
		if err != nil {
			return nil, err
		}
		if !slices.Contains(prefixes, prefix) {
			prefixes = append(prefixes, prefix)
		}
	}
	return prefixes, nil
}

func parsePrefix(text string) (netip.Prefix, error) {
	invalid := fmt.Errorf("%q is not an address or a range such as 203.0.113.7, 203.0.113.0/24 or 2001:db8::/48", text)
	prefix, err := netip.ParsePrefix(text)
	if err != nil {
		address, err := netip.ParseAddr(text)
		if err != nil || address.Zone() != "" {
			return netip.Prefix{}, invalid
		}
		address = address.Unmap()
		bits := 32
		if address.Is6() {
			// A visitor has a whole /64, so blocking a single address has no effect.
			bits = 64
		}
		prefix = netip.PrefixFrom(address, bits)
	}
	if prefix.Addr().Is4In6() {
		return netip.Prefix{}, invalid
	}
	bits := minBits4
	if prefix.Addr().Is6() {
		bits = minBits6
	}
	if prefix.Bits() < bits {
		return netip.Prefix{}, fmt.Errorf("%q is too large a range: the largest is /%d", text, bits)
	}
	return prefix.Masked(), nil
}
