// What flyctl is made of, fly-go's flaps client, leads a life on a Machines API: an app, addresses, a volume, a machine through all it can be, and away again.
// FLY_FLAPS_BASE_URL and FLY_API_TOKEN say where. One line a step; the first that does not go as it should ends it with 1.
package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"time"

	fly "github.com/superfly/fly-go"
	"github.com/superfly/fly-go/flaps"
	"github.com/superfly/fly-go/tokens"
)

const app = "flaps-life"

func main() {
	if err := live(context.Background()); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func live(ctx context.Context) error {
	client, err := flaps.NewWithOptions(ctx, flaps.NewClientOpts{Tokens: tokens.Parse(os.Getenv("FLY_API_TOKEN"))})
	if err != nil {
		return err
	}
	it := &life{ctx: ctx, client: client}
	for _, stage := range []func() error{it.app, it.addresses, it.secrets, it.volume, it.launch, it.update, it.states, it.looks, it.end} {
		if err := stage(); err != nil {
			return err
		}
	}
	return nil
}

type life struct {
	ctx     context.Context
	client  *flaps.Client
	vol     string
	id      string
	version string
	config  *fly.MachineConfig
}

// done says that a step is, or why it failed, or that what came is not what should have.
func done(step string, err error, right bool, got any) error {
	switch {
	case err != nil:
		return fmt.Errorf("%s: %w", step, err)
	case !right:
		return fmt.Errorf("%s: %+v", step, got)
	}
	fmt.Println(step)
	return nil
}

// refused is done when the API said no with this status.
func refused(step string, err error, status int) error {
	var answer *flaps.FlapsError
	return done(step, nil, errors.As(err, &answer) && answer.ResponseStatusCode == status, err)
}

// all runs steps until one fails.
func all(steps ...func() error) error {
	for _, step := range steps {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

func (it *life) app() error {
	return all(
		func() error {
			free, err := it.client.AppNameAvailable(it.ctx, app)
			return done("name is free", err, free, free)
		},
		func() error {
			made, err := it.client.CreateApp(it.ctx, flaps.CreateAppRequest{Name: app, Org: "personal"})
			return done("create app", err, err == nil && made.Name == app, made)
		},
		func() error { return done("wait for app", it.client.WaitForApp(it.ctx, app), true, nil) },
		func() error {
			got, err := it.client.GetApp(it.ctx, app)
			return done("get app", err, err == nil && got.Name == app && got.Organization.Slug == "personal" && !got.Deployed(), got)
		},
		func() error {
			apps, err := it.client.ListApps(it.ctx, flaps.ListAppsRequest{OrgSlug: "personal"})
			return done("list apps", err, len(apps) == 1, apps)
		},
		func() error {
			regions, err := it.client.GetRegions(it.ctx)
			return done("regions", err, err == nil && len(regions.Regions) > 10 && regions.Nearest != "", regions)
		},
		func() error {
			places, err := it.client.GetPlacements(it.ctx, &flaps.GetPlacementsRequest{Region: "cdg", Count: 1, Org: "personal", ComputeRequirements: &fly.MachineGuest{CPUKind: "shared", CPUs: 1, MemoryMB: 256}})
			return done("placements", err, len(places) == 1 && places[0].Region == "cdg", places)
		},
	)
}

func (it *life) addresses() error {
	for _, kind := range []string{"v6", "shared_v4", "v4"} {
		ip, err := it.client.AssignIP(it.ctx, app, flaps.AssignIPRequest{Type: kind})
		if err := done("assign "+kind, err, err == nil && ip.IP != "" && ip.Shared == (kind == "shared_v4"), ip); err != nil {
			return err
		}
	}
	got, err := it.client.GetIPAssignments(it.ctx, app)
	return done("list addresses", err, err == nil && len(got.IPs) == 3, got)
}

func (it *life) secrets() error {
	return all(
		func() error {
			got, err := it.client.SetAppSecret(it.ctx, app, "A", "one")
			return done("set secret", err, err == nil && got.Version > 0, got)
		},
		func() error {
			got, err := it.client.ListAppSecrets(it.ctx, app, nil, false)
			return done("list secrets", err, len(got) == 1 && got[0].Name == "A" && got[0].Value == nil, got)
		},
		func() error {
			_, err := it.client.DeleteAppSecret(it.ctx, app, "A")
			return done("delete secret", err, true, nil)
		},
	)
}

func (it *life) volume() error {
	return all(
		func() error {
			got, err := it.client.CreateVolume(it.ctx, app, fly.CreateVolumeRequest{Name: "data", Region: "cdg", SizeGb: fly.Pointer(1), Encrypted: fly.Pointer(true)})
			if err == nil {
				it.vol = got.ID
			}
			return done("create volume", err, err == nil && got.SizeGb == 1 && got.Region == "cdg" && got.Encrypted, got)
		},
		func() error {
			got, err := it.client.UpdateVolume(it.ctx, app, it.vol, fly.UpdateVolumeRequest{SnapshotRetention: fly.Pointer(7)})
			return done("update volume", err, err == nil && got.SnapshotRetention == 7, got)
		},
		func() error {
			got, _, err := it.client.ExtendVolume(it.ctx, app, it.vol, 2)
			return done("extend volume", err, err == nil && got.SizeGb == 2, got)
		},
		func() error {
			_, err := it.client.GetVolumeSnapshots(it.ctx, app, it.vol)
			return done("list snapshots", err, true, nil)
		},
		func() error {
			got, err := it.client.GetVolumes(it.ctx, app)
			return done("list volumes", err, len(got) == 1 && got[0].AttachedMachine == nil, got)
		},
	)
}

func (it *life) wait(step, state string, options ...flaps.WaitOption) error {
	options = append(options, flaps.WithWaitStates(state), flaps.WithWaitTimeout(30*time.Second))
	return done(step, it.client.Wait(it.ctx, app, it.id, options...), true, nil)
}

func (it *life) launch() error {
	it.config = &fly.MachineConfig{
		Image:    "registry.example/pop:1",
		Guest:    &fly.MachineGuest{CPUKind: "shared", CPUs: 1, MemoryMB: 256},
		Env:      map[string]string{"A": "1"},
		Metadata: map[string]string{"fly_platform_version": "v2", "fly_process_group": "app"},
		Mounts:   []fly.MachineMount{{Volume: it.vol, Path: "/data"}},
		Services: []fly.MachineService{{Protocol: "tcp", InternalPort: 8443, Ports: []fly.MachinePort{{Port: fly.Pointer(443)}}}},
	}
	return all(
		func() error {
			got, err := it.client.Launch(it.ctx, app, fly.LaunchMachineInput{Name: "one", Region: "cdg", Config: it.config})
			if err == nil {
				it.id, it.version = got.ID, got.InstanceID
			}
			return done("launch", err, err == nil && got.Name == "one" && got.Config.Mounts[0].Volume == it.vol, got)
		},
		func() error {
			_, err := it.client.Launch(it.ctx, app, fly.LaunchMachineInput{Name: "one", Region: "cdg", Config: &fly.MachineConfig{Image: "registry.example/pop:1"}})
			return done("the name again is refused", nil, err != nil, nil)
		},
		func() error { return it.wait("wait started", "started", flaps.WithWaitVersion(it.version)) },
		func() error {
			got, err := it.client.GetVolume(it.ctx, app, it.vol)
			return done("volume is attached", err, err == nil && got.AttachedMachine != nil && *got.AttachedMachine == it.id, got)
		},
		func() error {
			got, rest, err := it.client.ListFlyAppsMachines(it.ctx, app)
			return done("list of the platform's machines", err, len(got) == 1 && rest == nil, got)
		},
	)
}

func (it *life) update() error {
	var nonce string
	changed := func() fly.LaunchMachineInput {
		config := *it.config
		config.Env = map[string]string{"A": "2"}
		return fly.LaunchMachineInput{ID: it.id, Region: "cdg", Config: &config}
	}
	return all(
		func() error {
			_, err := it.client.FindLease(it.ctx, app, it.id)
			return refused("no lease", err, http.StatusNotFound)
		},
		func() error {
			lease, err := it.client.AcquireLease(it.ctx, app, it.id, fly.Pointer(60))
			if err == nil && lease.Data != nil {
				nonce = lease.Data.Nonce
			}
			return done("acquire lease", err, nonce != "" && lease.Status == "success", lease)
		},
		func() error {
			_, err := it.client.Update(it.ctx, app, changed(), "")
			return refused("update without the nonce is refused", err, http.StatusConflict)
		},
		func() error {
			lease, err := it.client.RefreshLease(it.ctx, app, it.id, fly.Pointer(60), nonce)
			return done("refresh lease", err, err == nil && lease.Status == "success", lease)
		},
		func() error {
			before := it.version
			got, err := it.client.Update(it.ctx, app, changed(), nonce)
			if err == nil {
				it.version = got.InstanceID
			}
			return done("update", err, err == nil && got.InstanceID != before, got)
		},
		func() error { return it.wait("wait for the new version", "started", flaps.WithWaitVersion(it.version)) },
		func() error {
			return done("release lease", it.client.ReleaseLease(it.ctx, app, it.id, nonce), true, nil)
		},
		func() error {
			got, err := it.client.Get(it.ctx, app, it.id)
			return done("get machine", err, err == nil && got.Config.Env["A"] == "2" && got.IsActive(), got)
		},
	)
}

func (it *life) states() error {
	return all(
		func() error { return done("cordon", it.client.Cordon(it.ctx, app, it.id, ""), true, nil) },
		func() error { return done("uncordon", it.client.Uncordon(it.ctx, app, it.id, ""), true, nil) },
		func() error { return done("suspend", it.client.Suspend(it.ctx, app, it.id, ""), true, nil) },
		func() error { return it.wait("wait suspended", "suspended") },
		func() error {
			_, err := it.client.Start(it.ctx, app, it.id, "")
			return done("start", err, true, nil)
		},
		func() error { return it.wait("wait started after it", "started") },
		func() error {
			return done("restart", it.client.Restart(it.ctx, app, fly.RestartMachineInput{ID: it.id, ForceStop: true}, ""), true, nil)
		},
		func() error { return it.wait("wait started after that", "started") },
		func() error {
			return done("stop", it.client.Stop(it.ctx, app, fly.StopMachineInput{ID: it.id, Signal: "SIGTERM"}, ""), true, nil)
		},
		func() error { return it.wait("wait stopped", "stopped", flaps.WithWaitVersion(it.version)) },
		func() error {
			_, err := it.client.Start(it.ctx, app, it.id, "")
			return done("start again", err, true, nil)
		},
		func() error { return it.wait("wait started again", "started") },
	)
}

func (it *life) looks() error {
	return all(
		func() error {
			return done("set metadata", it.client.SetMetadata(it.ctx, app, it.id, "colour", "blue"), true, nil)
		},
		func() error {
			got, err := it.client.GetMetadata(it.ctx, app, it.id)
			return done("get metadata", err, got["colour"] == "blue", got)
		},
		func() error {
			return done("delete metadata", it.client.DeleteMetadata(it.ctx, app, it.id, "colour"), true, nil)
		},
		func() error {
			got, err := it.client.Exec(it.ctx, app, it.id, &fly.MachineExecRequest{Cmd: "echo hello", Timeout: 10})
			return done("exec", err, err == nil && got.ExitCode == 0 && got.StdOut == "hello\n", got)
		},
		func() error {
			got, err := it.client.GetProcesses(it.ctx, app, it.id)
			return done("processes", err, len(got) > 0, got)
		},
		func() error {
			got, err := it.client.GetMany(it.ctx, app, []string{it.id})
			return done("get many", err, len(got) == 1 && len(got[0].Events) > 3, got)
		},
		func() error {
			got, err := it.client.List(it.ctx, app, "started")
			return done("list started", err, len(got) == 1, got)
		},
	)
}

func (it *life) end() error {
	return all(
		func() error { return done("kill", it.client.Kill(it.ctx, app, it.id), true, nil) },
		func() error {
			return done("destroy", it.client.Destroy(it.ctx, app, fly.RemoveMachineInput{ID: it.id, Kill: true}, ""), true, nil)
		},
		func() error { return it.wait("wait destroyed", "destroyed", flaps.WithWaitVersion(it.version)) },
		func() error {
			got, err := it.client.DeleteVolume(it.ctx, app, it.vol)
			return done("delete volume", err, err == nil && got.ID == it.vol, got)
		},
		func() error {
			got, err := it.client.GetIPAssignments(it.ctx, app)
			if err != nil {
				return err
			}
			for _, ip := range got.IPs {
				if err := it.client.DeleteIPAssignment(it.ctx, app, ip.IP); err != nil {
					return fmt.Errorf("release %s: %w", ip.IP, err)
				}
			}
			return done("release addresses", nil, true, nil)
		},
		func() error { return done("delete app", it.client.DeleteApp(it.ctx, app), true, nil) },
		func() error {
			_, err := it.client.GetApp(it.ctx, app)
			return refused("it is gone", err, http.StatusNotFound)
		},
	)
}
