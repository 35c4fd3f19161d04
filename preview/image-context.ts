/**
 * `node preview/image-context.ts STACK`: writes the build context of the stack's image, and prints its directory and platform. Prints nothing if the stack
 * sets `imageRef`.
 */
import { writeContext } from "../image/context.ts";
import { readEdgeConfig } from "./stack-files.ts";

const name = process.argv[2]?.split("/").at(-1) ?? "";
const { imageRef, image, imagePlatform } = readEdgeConfig(".", name, process.env);
if (imageRef === undefined) {
  const dir = `.cache/image/${name}`;
  writeContext(image, dir, ".");
  console.log([dir, ...(imagePlatform === "host" ? [] : [imagePlatform])].join(" "));
}
