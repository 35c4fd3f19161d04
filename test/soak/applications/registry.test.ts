import { afterAll, beforeAll, expect, test } from "vitest";
import { type Application, Lab } from "./lab.ts";

// A container registry under the real `docker push` and `docker pull`. The Docker engine runs in a container, so that it can trust
// the PoP's CA without changing this machine's engine.

const host = "registry.example.org";
let lab: Lab;
let engine: Application;

beforeAll(async () => {
  lab = await Lab.open();
  await lab.start("registry", "exec docker-registry serve /etc/applications/registry.yml");
  await lab.untilServed(host, "/v2/");
  engine = await lab.start("engine", "exec dockerd --storage-driver overlay2 --iptables=false --bridge=none", {
    host: {
      CapAdd: ["SYS_ADMIN", "NET_ADMIN"],
      Tmpfs: { "/run": "exec" },
    },
    volumes: ["/var/lib/docker"],
  });
  await lab.trust(engine);
  await run("until docker info >/dev/null 2>&1; do sleep 0.1; done");
});
afterAll(() => lab?.close());

test("docker push and docker pull: an image of 500 MB in two layers", async () => {
  const image = `${host}/team/large:1`;
  await run(`mkdir -p /image && cd /image && head -c 400000000 /dev/urandom > first && head -c 100000000 /dev/urandom > second
    printf 'FROM scratch\\nCOPY first /\\nCOPY second /\\n' > Dockerfile && DOCKER_BUILDKIT=0 docker build -q -t ${image} .`);
  const pushed = await run(`docker push ${image}`);
  const digest = /digest: (sha256:[0-9a-f]{64})/.exec(pushed)?.[1];
  expect(digest, pushed).toBeDefined();
  await run(`docker image rm ${image}`);
  expect(await run(`docker pull ${image}`)).toContain(`Digest: ${digest}`);
  // Its content, not its name alone.
  await run(
    `id=$(docker create ${image} none) && docker cp $id:/first - | tar -xO | cmp - /image/first && docker rm $id`,
  );
});

test("skopeo copies the image into another repository, blob by blob", async () => {
  const copied = await lab.client(
    `skopeo copy --dest-tls-verify=true docker://${host}/team/large:1 docker://${host}/other/large:1 && skopeo inspect docker://${host}/other/large:1`,
  );
  expect(copied.code, copied.output).toBe(0);
  expect(copied.output).toContain('"Name": "registry.example.org/other/large"');
});

async function run(line: string): Promise<string> {
  const { code, output } = await engine.run(`set -e; ${line}`);
  if (code !== 0) throw new Error(`ended with ${code}: ${line}\n${output}`);
  return output;
}
