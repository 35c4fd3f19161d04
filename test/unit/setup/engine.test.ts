import { expect, test } from "vitest";
import { mmdebstrapArguments } from "../../../setup/base-image.mjs";
import { lastWords } from "../../../setup/engine.mjs";
import { endpoint, endpointName } from "../../../setup/engine-api.mjs";

test.each([
  ["unix:///run/user/1000/docker.sock", { socketPath: "/run/user/1000/docker.sock" }, "/run/user/1000/docker.sock"],
  ["tcp://10.0.0.1:2375", { hostname: "10.0.0.1", port: "2375" }, "10.0.0.1:2375"],
  ["tcp://builder", { hostname: "builder", port: "2375" }, "builder:2375"],
])("DOCKER_HOST=%s", (host, expected, name) => {
  expect(endpoint({ DOCKER_HOST: host })).toEqual(expected);
  expect(endpointName(endpoint({ DOCKER_HOST: host }))).toBe(name);
});

test("a DOCKER_HOST of another kind is refused by name", () => {
  expect(() => endpoint({ DOCKER_HOST: "ssh://box" })).toThrow(
    "DOCKER_HOST=ssh://box: only unix:// and tcp:// are understood here.",
  );
});

test("without DOCKER_HOST a socket is taken", () => {
  expect(endpoint({})).toEqual({ socketPath: expect.stringMatching(/docker\.sock$/) });
});

test.each([
  ['time="x" level=info msg="up"\nfailed to start daemon: no overlay\n', "failed to start daemon: no overlay"],
  ['time="x" level=error msg="cannot mount: error 5"\ntime="x" level=info msg="bye"', "cannot mount: error 5"],
  ["one line", "one line"],
])("dockerd's last words in %j", (log, expected) => {
  expect(lastWords(log)).toBe(expected);
});

test("the base gets the certificates' bundle at its own place, and none when the machine has none", () => {
  const hooks = (bundle?: string) =>
    mmdebstrapArguments("base.tar", "arm64", bundle).filter((it) => it.includes("upload"));
  expect(hooks("/here/ca.crt")).toEqual(["--customize-hook=upload /here/ca.crt /etc/ssl/certs/ca-certificates.crt"]);
  expect(hooks()).toEqual([]);
  expect(mmdebstrapArguments("base.tar", "arm64", undefined).slice(-2)).toEqual(["trixie", "base.tar"]);
});
