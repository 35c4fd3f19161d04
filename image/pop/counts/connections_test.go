package counts

import "testing"

func TestCountsConnectionsByPortAndResult(t *testing.T) {
	all := newConnectionCounts([]int{22, 25}, nil)
	for _, line := range []string{"22 200 500 300 2.5", "22 200 5 3 0.5", "22 503 0 0 0.000", "22 403 0 0 0.000", "25 502 0 0 3.001", "25 500 0 0 0.000"} {
		if !all.add([]byte(line)) {
			t.Errorf("%q is not counted", line)
		}
	}
	ssh, mail := all.ports["22"], all.ports["25"]
	if ssh.sent != 505 || ssh.received != 303 || ssh.seconds != 3 || ssh.results["served"] != 2 || ssh.results["limited"] != 1 || ssh.results["blocked"] != 1 {
		t.Errorf("%+v", ssh)
	}
	if mail.results["failed"] != 2 || mail.results["served"] != 0 {
		t.Errorf("%+v", mail)
	}
}

func TestInvalidLinesOfConnections(t *testing.T) {
	all := newConnectionCounts([]int{22}, []string{"git.example.org"})
	for _, line := range []string{"", "22 200 1 1", "22 200 1 1 1 1", "23 200 1 1 1", "22 20 1 1 1", "22 200 x 1 1", "22 200 1 -1 1", "22 200 1 1 -1", "22 200 1 1 x", "www.example.org 200 1 1 1", "443 200 1 1 1"} {
		if all.add([]byte(line)) {
			t.Errorf("%q is counted", line)
		}
	}
	if ssh := all.ports["22"]; ssh.sent != 0 || len(ssh.results) != 0 {
		t.Errorf("%+v", ssh)
	}
}
