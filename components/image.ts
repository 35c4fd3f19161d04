import * as docker from "@pulumi/docker";
import * as pulumi from "@pulumi/pulumi";
import { contextDigest, writeContext } from "../image/context.ts";
import type { ImageSpec } from "../image/spec.ts";

export interface SidecarImageArgs {
  /** App with the registry repository of the image. It must exist before the push. */
  app: pulumi.Input<string>;
  /** Contents of the image. */
  spec: ImageSpec;
  /** Registry to push to, e.g. registry.fly.io. Without user name and password, the login of the Docker engine is used. */
  registry: { server: string; username?: string | undefined; password?: pulumi.Input<string> | undefined };
  /** Docker platform, e.g. linux/amd64. Absent: that of the Docker engine. */
  platform?: string | undefined;
}

/** The image that every PoP of a stack runs. It is rendered, built, checked by its own programs, and pushed. */
export class SidecarImage extends pulumi.ComponentResource {
  /** Reference pinned by digest, e.g. registry.fly.io/my-edge@sha256:... */
  readonly ref: pulumi.Output<string>;
  /** Digest of the build context, hex. The image contains it, and PoPs compare it. */
  readonly context: string;

  constructor(
    name: string,
    { app, spec, registry, platform }: SidecarImageArgs,
    opts?: pulumi.ComponentResourceOptions,
  ) {
    super("fly-pops:index:SidecarImage", name, {}, opts);
    // Relative, so that moving the checkout does not look like a change of the image.
    const context = `.cache/image/${pulumi.getStack()}`;
    writeContext(spec, context, ".");
    this.context = contextDigest(spec, ".");
    const { server, username, password } = registry;
    const image = new docker.Image(
      `${name}-build`,
      {
        // A tag per build context. With a moving tag, earlier releases would be untagged, which registries delete, and Docker clients that know several
        // digests for one name have returned the wrong one.
        imageName: pulumi.interpolate`${server}/${app}:pop-${this.context.slice(0, 16)}`,
        build: { context, dockerfile: `${context}/Dockerfile`, ...(platform ? { platform } : {}) },
        registry: { server, ...(username ? { username } : {}), ...(password ? { password } : {}) },
      },
      { parent: this },
    );
    this.ref = image.repoDigest;
    // Stored in state, so that a preview without Docker knows whether the last image is still current.
    this.registerOutputs({ ref: this.ref, context: this.context });
  }
}
