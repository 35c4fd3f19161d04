package main

// Addresses that an operator blocked in this PoP. nginx reads the file again when it has changed (image/nginx/reject.c), and ignores blocks whose time is over.
//
//	pop block --for SECONDS ADDRESS...   blocks them for so long, or for longer than before; the /64 of an IPv6 address that is written alone
//	pop unblock ADDRESS... | --all       ends blocks
//	pop blocked                          only lists them
//
// Each prints what is blocked afterwards as one line of JSON: a list of address (with its bits) and until (seconds since 1970). Exit codes: 0; 1 the file
// cannot be read or written; 2 a mistake in arguments.

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
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"fly-pops/pop/internal/exit"
	"fly-pops/pop/internal/files"
)

// On the volume, in a folder of root. image/render/nginx-common.ts names it to nginx.
const blockedFile = "/var/lib/pop/blocked"

const (
	longestBlock = 365 * 24 * time.Hour
	// A worker of nginx keeps a copy of 56 bytes each.
	mostBlocks = 10_000
	// Larger ones are slips: a country, or everybody.
	leastBits4, leastBits6 = 8, 16
)

type block struct {
	Address netip.Prefix `json:"address"`
	Until   int64        `json:"until"`
}

// blockList is the file and the clock, for a test to put others in their place.
type blockList struct {
	file, lock string
	now        func() time.Time
}

func runBlocked(arguments []string, out io.Writer) error {
	list := &blockList{file: blockedFile, lock: filepath.Join(runFolder, "blocked.lock"), now: time.Now}
	return list.run(arguments[0], arguments[1:], out)
}

func (it *blockList) run(command string, arguments []string, out io.Writer) error {
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
	case command == "block" && (*seconds < 1 || *seconds > int64(longestBlock/time.Second)):
		err = fmt.Errorf("block: --for takes seconds from 1 to %d", int64(longestBlock/time.Second))
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
		left, err = it.change(func(blocks []block) []block { return extend(blocks, addresses, it.now().Add(length).Unix()) })
	case "unblock":
		left, err = it.change(func(blocks []block) []block {
			return slices.DeleteFunc(blocks, func(found block) bool { return *all || slices.Contains(addresses, found.Address) })
		})
	default:
		left, err = it.read()
	}
	if err != nil {
		return err
	}
	return json.NewEncoder(out).Encode(left)
}

// extend adds blocks. One that is there already ends no earlier than it did.
func extend(blocks []block, addresses []netip.Prefix, until int64) []block {
	for _, address := range addresses {
		at := slices.IndexFunc(blocks, func(found block) bool { return found.Address == address })
		if at < 0 {
			blocks = append(blocks, block{address, until})
		} else {
			blocks[at].Until = max(blocks[at].Until, until)
		}
	}
	return blocks
}

// change takes turns with other processes that change the file.
func (it *blockList) change(how func([]block) []block) ([]block, error) {
	lock, err := os.OpenFile(it.lock, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	defer lock.Close()
	if err := unix.Flock(int(lock.Fd()), unix.LOCK_EX); err != nil {
		return nil, err
	}
	blocks, err := it.read()
	if err != nil {
		return nil, err
	}
	blocks = how(blocks)
	if len(blocks) > mostBlocks {
		return nil, exit.WithCode(exit.Usage, fmt.Errorf("block: there would be %d blocks, and at most %d are kept. Block ranges, or write a list into the stack file (access.deny)", len(blocks), mostBlocks))
	}
	slices.SortFunc(blocks, func(a, b block) int { return a.Address.Compare(b.Address) })
	var text strings.Builder
	for _, one := range blocks {
		fmt.Fprintf(&text, "%s %d\n", one.Address, one.Until)
	}
	return blocks, files.Replace(it.file, []byte(text.String()), 0o644)
}

// read leaves out blocks that are over. A file that is not there has none; so has a line that is none.
func (it *blockList) read() ([]block, error) {
	blocks := []block{}
	file, err := os.Open(it.file)
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
		if err == nil && secondsErr == nil && seconds > it.now().Unix() {
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
	wrong := fmt.Errorf("%q is not an address or range, as in 203.0.113.7, 203.0.113.0/24 or 2001:db8::/48", text)
	prefix, err := netip.ParsePrefix(text)
	if err != nil {
		address, err := netip.ParseAddr(text)
		if err != nil || address.Zone() != "" {
			return netip.Prefix{}, wrong
		}
		address = address.Unmap()
		bits := 32
		if address.Is6() {
			// A visitor has all of it: one address of many would block nobody.
			bits = 64
		}
		prefix = netip.PrefixFrom(address, bits)
	}
	if prefix.Addr().Is4In6() {
		return netip.Prefix{}, wrong
	}
	least := leastBits4
	if prefix.Addr().Is6() {
		least = leastBits6
	}
	if prefix.Bits() < least {
		return netip.Prefix{}, fmt.Errorf("%q is too large a range: at least /%d is taken", text, least)
	}
	return prefix.Masked(), nil
}
