/** Programs that lead local Fly as they lead Fly, built once and kept by their inputs: test/e2e/clients. */
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { openDocker } from "../../local/docker/engine.ts";
import { buildImage } from "../../local/docker/image.ts";
import { programOf } from "../support/program.ts";

const here = "test/e2e/clients";
const root = join(import.meta.dirname, "..", "..");

/** Puts the program into a directory of this machine. @returns where it is. */
export async function clientProgram(name: "flaps" | "flyctl", dir: string): Promise<string> {
  const sources = readdirSync(join(root, here, name)).map((file) => `${here}/${name}/${file}`);
  const image = await buildImage(openDocker(), {
    tag: `fly-pops-${name}:test`,
    context: root,
    files: ["image/build/update-package-lists", "image/build/go.env", `${here}/Dockerfile`, ...sources],
    dockerfile: `${here}/Dockerfile`,
    target: name,
    log: () => {},
  });
  return programOf(image, `/${name}`, dir);
}
