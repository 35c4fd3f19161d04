package health

import (
	"os"
	"path/filepath"
	"testing"
)

func TestMemory(t *testing.T) {
	meminfo := map[string]string{"meminfo": "MemTotal: 2000 kB\nMemFree: 100 kB\nMemAvailable: 500 kB\n", "vmstat": "nr_free_pages 1\noom_kill 4\n"}
	for name, test := range map[string]struct {
		cgroup map[string]string
		want   memory
	}{
		"control groups 2": {
			map[string]string{"memory.current": "1000\n", "memory.max": "4096\n", "memory.stat": "anon 1\ninactive_file 300\n", "memory.events": "oom 1\noom_kill 2\n"},
			memory{700, 4096, 2},
		},
		"without a limit": {
			map[string]string{"memory.current": "1000\n", "memory.max": "max\n", "memory.stat": "inactive_file 2000\n", "memory.events": "oom_kill 0\n"},
			memory{0, 2000 * 1024, 0},
		},
		"control groups 1": {
			map[string]string{
				"memory/memory.usage_in_bytes": "1000\n", "memory/memory.limit_in_bytes": "9223372036854771712\n",
				"memory/memory.stat": "inactive_file 1\ntotal_inactive_file 300\n", "memory/memory.oom_control": "oom_kill_disable 0\nunder_oom 0\noom_kill 3\n",
			},
			memory{700, 2000 * 1024, 3},
		},
		"a virtual machine": {map[string]string{}, memory{1500 * 1024, 2000 * 1024, 4}},
	} {
		t.Run(name, func(t *testing.T) {
			cgroup, proc := dirWith(t, test.cgroup), dirWith(t, meminfo)
			if found, err := readMemory(cgroup, proc); err != nil || found != test.want {
				t.Errorf("%+v %v, want %+v", found, err, test.want)
			}
		})
	}
	if _, err := readMemory(t.TempDir(), t.TempDir()); err == nil {
		t.Error("no error without any file of the kernel")
	}
}

func dirWith(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for path, text := range files {
		whole := filepath.Join(dir, path)
		err := os.MkdirAll(filepath.Dir(whole), 0o755)
		if err == nil {
			err = os.WriteFile(whole, []byte(text), 0o644)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return dir
}
