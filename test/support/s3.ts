/** A store with S3's API, for Pulumi's state: the server's bucket `state` in a directory of its own. */
import { mkdtempSync, rmSync } from "node:fs";
import { createRequire } from "node:module";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** The part of https://github.com/jamhall/s3rver that is used; it has no types of its own. */
type S3rver = new (options: {
  address: string;
  port: number;
  silent: boolean;
  directory: string;
  configureBuckets: { name: string }[];
}) => { run(): Promise<AddressInfo>; close(): Promise<void> };

export interface S3 extends AsyncDisposable {
  /** What makes the CLI keep its state there. */
  env: Record<string, string>;
}

export async function s3(): Promise<S3> {
  const Server = createRequire(import.meta.url)("s3rver") as S3rver;
  const directory = mkdtempSync(join(tmpdir(), "fly-pops-s3-"));
  const server = new Server({
    address: "127.0.0.1",
    port: 0,
    silent: true,
    directory,
    configureBuckets: [{ name: "state" }],
  });
  const { port } = await server.run();
  const query = new URLSearchParams({
    endpoint: `http://127.0.0.1:${port}`,
    s3ForcePathStyle: "true",
    region: "us-east-1",
  });
  return {
    env: {
      PULUMI_BACKEND_URL: `s3://state?${query}`,
      AWS_ACCESS_KEY_ID: "S3RVER",
      AWS_SECRET_ACCESS_KEY: "S3RVER",
    },
    async [Symbol.asyncDispose]() {
      await server.close();
      rmSync(directory, { recursive: true, force: true });
    },
  };
}
