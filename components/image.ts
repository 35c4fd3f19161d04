import * as docker from "@pulumi/docker";
import * as pulumi from "@pulumi/pulumi";
import { contextDigest, writeContext } from "../image/context.ts";
import type { ImageSpec } from "../image/spec.ts";

export interface SidecarImageArgs {
  /** App whose registry repository takes the image; it must exist before the push. */
  app: pulumi.Input<string>;
  /** What goes into the image. */
  spec: ImageSpec;
  /** Registry to push to; without user and password as the Docker engine is logged in. Default registry.fly.io. */
  registry: { server: string; username?: string | undefined; password?: pulumi.Input<string> | undefined };
  /** Docker platform, e.g. linux/amd64. Absent: what the Docker engine runs itself. */
  platform?: string | undefined;
}

/** The one image every PoP of a stack runs: rendered, built, checked by its own programs, pushed. */
export class SidecarImage extends pulumi.ComponentResource {
  /** Reference pinned by digest, e.g. registry.fly.io/my-edge@sha256:... */
  readonly ref: pulumi.Output<string>;
  /** Digest of the context it is built from, hex: what the image itself says, and PoPs compare. */
  readonly context: string;

  constructor(
    name: string,
    { app, spec, registry, platform }: SidecarImageArgs,
    opts?: pulumi.ComponentResourceOptions,
  ) {
    super("fly-pops:index:SidecarImage", name, {}, opts);
    // Relative, so that a checkout that moves does not look like a change of the image.
    const context = `.cache/image/${pulumi.getStack()}`;
    writeContext(spec, context, ".");
    this.context = contextDigest(spec, ".");
    const { server, username, password } = registry;
    const image = new docker.Image(
      `${name}-build`,
      {
        // A tag of its own for what it is made from: one that moves would leave earlier releases without any, for a registry to sweep away, and a
        // client that knows several digests by one name has told the wrong one.
        imageName: pulumi.interpolate`${server}/${app}:pop-${this.context.slice(0, 16)}`,
        build: { context, dockerfile: `${context}/Dockerfile`, ...(platform ? { platform } : {}) },
        registry: { server, ...(username ? { username } : {}), ...(password ? { password } : {}) },
      },
      { parent: this },
    );
    this.ref = image.repoDigest;
    // Kept in state, so that a preview without Docker knows whether the last image is still the one.
    this.registerOutputs({ ref: this.ref, context: this.context });
  }
}
