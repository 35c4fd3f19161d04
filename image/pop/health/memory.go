package health

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

// memory of the whole PoP: its control group in a container, the machine in a VM.
type memory struct {
	// Without the page cache, which the kernel can free at once.
	UsedBytes  uint64 `json:"usedBytes"`
	LimitBytes uint64 `json:"limitBytes"`
	// Processes that the kernel killed since boot because memory ran out.
	OomKills uint64 `json:"oomKills"`
}

// cgroupFiles are the names of the same files in the two versions of control groups, https://docs.kernel.org/admin-guide/cgroup-v2.html and
// https://docs.kernel.org/admin-guide/cgroup-v1/memory.html.
type cgroupFiles struct{ used, limit, stat, inactive, events string }

var cgroups = []cgroupFiles{
	{"memory.current", "memory.max", "memory.stat", "inactive_file", "memory.events"},
	{"memory/memory.usage_in_bytes", "memory/memory.limit_in_bytes", "memory/memory.stat", "total_inactive_file", "memory/memory.oom_control"},
}

// readMemory takes the directories used as /sys/fs/cgroup and /proc.
func readMemory(cgroup, proc string) (memory, error) {
	machine, err := readTable(filepath.Join(proc, "meminfo"))
	if err != nil {
		return memory{}, err
	}
	installed := machine["MemTotal:"] * 1024
	for _, names := range cgroups {
		used, err := readNumber(filepath.Join(cgroup, names.used))
		if err != nil {
			continue
		}
		limit, limitErr := readNumber(filepath.Join(cgroup, names.limit))
		stat, statErr := readTable(filepath.Join(cgroup, names.stat))
		events, eventsErr := readTable(filepath.Join(cgroup, names.events))
		return memory{
			UsedBytes:  used - min(used, stat[names.inactive]),
			LimitBytes: min(limit, installed),
			OomKills:   events["oom_kill"],
		}, errors.Join(limitErr, statErr, eventsErr)
	}
	// Without a control group, the whole machine counts.
	events, err := readTable(filepath.Join(proc, "vmstat"))
	free := machine["MemAvailable:"] * 1024
	return memory{UsedBytes: installed - min(installed, free), LimitBytes: installed, OomKills: events["oom_kill"]}, err
}

// readNumber reads a file with one number; "max" means no limit.
func readNumber(path string) (uint64, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return 0, err
	}
	number := strings.TrimSpace(string(text))
	if number == "max" {
		return math.MaxUint64, nil
	}
	return strconv.ParseUint(number, 10, 64)
}

// readTable reads a file with a name and a number per line.
func readTable(path string) (map[string]uint64, error) {
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
