package main

import (
	"bufio"
	"bytes"
	"errors"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// memory of the whole PoP: of its control group in a container, of the machine in a VM.
type memory struct {
	// Without what the kernel could drop at once, the cache of files.
	UsedBytes  uint64 `json:"usedBytes"`
	LimitBytes uint64 `json:"limitBytes"`
	// Processes the kernel killed for want of memory since boot.
	OomKills uint64 `json:"oomKills"`
}

// cgroupFiles are the names of the same things in the two versions of control groups, https://docs.kernel.org/admin-guide/cgroup-v2.html and
// https://docs.kernel.org/admin-guide/cgroup-v1/memory.html.
type cgroupFiles struct{ used, limit, stat, inactive, events string }

var cgroups = []cgroupFiles{
	{"memory.current", "memory.max", "memory.stat", "inactive_file", "memory.events"},
	{"memory/memory.usage_in_bytes", "memory/memory.limit_in_bytes", "memory/memory.stat", "total_inactive_file", "memory/memory.oom_control"},
}

// readMemory takes the folders that stand for /sys/fs/cgroup and /proc.
func readMemory(cgroup, proc string) (memory, error) {
	machine, err := table(filepath.Join(proc, "meminfo"))
	if err != nil {
		return memory{}, err
	}
	installed := machine["MemTotal:"] * 1024
	for _, names := range cgroups {
		used, err := number(filepath.Join(cgroup, names.used))
		if err != nil {
			continue
		}
		limit, limitErr := number(filepath.Join(cgroup, names.limit))
		stat, statErr := table(filepath.Join(cgroup, names.stat))
		events, eventsErr := table(filepath.Join(cgroup, names.events))
		return memory{
			UsedBytes:  used - min(used, stat[names.inactive]),
			LimitBytes: min(limit, installed),
			OomKills:   events["oom_kill"],
		}, errors.Join(limitErr, statErr, eventsErr)
	}
	// No control group: the machine is all of it.
	events, err := table(filepath.Join(proc, "vmstat"))
	free := machine["MemAvailable:"] * 1024
	return memory{UsedBytes: installed - min(installed, free), LimitBytes: installed, OomKills: events["oom_kill"]}, err
}

// number of a file that holds one; "max" is no bound.
func number(path string) (uint64, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return 0, err
	}
	word := strings.TrimSpace(string(text))
	if word == "max" {
		return math.MaxUint64, nil
	}
	return strconv.ParseUint(word, 10, 64)
}

// table of a file with a name and a number a line.
func table(path string) (map[string]uint64, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	found := map[string]uint64{}
	for lines := bufio.NewScanner(bytes.NewReader(text)); lines.Scan(); {
		if fields := strings.Fields(lines.Text()); len(fields) >= 2 {
			if value, err := strconv.ParseUint(fields[1], 10, 64); err == nil {
				found[fields[0]] = value
			}
		}
	}
	return found, nil
}
