"use strict";

/**
 * A build context: what is in it (less .dockerignore), its digest, its tar. The digest covers path, kind, mode, content
 * and link target, never times or owners, so an unchanged context previews as no change on any machine.
 */

const { createHash } = require("node:crypto");
const { createReadStream, existsSync, lstatSync, readFileSync, readdirSync, readlinkSync } = require("node:fs");
const path = require("node:path");

/** The patterns that apply, by Docker's own rule: `<Dockerfile>.dockerignore` beside the Dockerfile wins over the context's. */
function ignorePatterns(context, dockerfile) {
  const file = [`${dockerfile}.dockerignore`, path.join(context, ".dockerignore")].find((it) => existsSync(it));
  return file === undefined ? "" : readFileSync(file, "utf8");
}

/**
 * The entries of a context in a fixed order. The Dockerfile is always among them, as `docker build` sends it even when
 * ignored; one outside the context goes under a name nothing else has.
 * @returns {{ entries: { name: string, file: string, kind: "file" | "folder" | "link", mode: number, link?: string, size: number }[], dockerfile: string }}
 */
function listContext(context, dockerfile, DockerIgnore) {
  const ignore = DockerIgnore({ ignorecase: false }).add(ignorePatterns(context, dockerfile));
  const entries = [];
  const visit = (dir) => {
    for (const child of readdirSync(path.join(context, dir)).sort()) {
      const name = dir === "" ? child : `${dir}/${child}`;
      const file = path.join(context, name);
      const stat = lstatSync(file);
      if (!ignore.ignores(name)) entries.push(entry(name, file, stat));
      // An ignored directory is entered all the same: a later `!` pattern may bring back something below it.
      if (stat.isDirectory()) visit(name);
    }
  };
  visit("");
  const inside = path.relative(context, dockerfile).split(path.sep).join("/");
  const name = inside.startsWith("../") || path.isAbsolute(inside) ? ".dockerfile.outside-the-context" : inside;
  if (!entries.some((it) => it.name === name)) entries.push(entry(name, dockerfile, lstatSync(dockerfile)));
  return { entries: entries.filter((it) => it !== undefined), dockerfile: name };
}

function entry(name, file, stat) {
  const common = { name, file, mode: stat.mode & 0o7777, size: 0 };
  if (stat.isDirectory()) return { ...common, kind: "folder" };
  if (stat.isSymbolicLink()) return { ...common, kind: "link", link: readlinkSync(file) };
  if (stat.isFile()) return { ...common, kind: "file", size: stat.size };
  return undefined; // sockets, pipes, devices: no image can hold them
}

/** sha256 over the entries, as hex. Images are pinned by it, so the names of kinds stay as they are. */
async function digestOf(entries) {
  const digest = createHash("sha256");
  for (const it of entries) {
    digest.update(JSON.stringify([it.name, it.kind, it.mode, it.link ?? null, it.size]));
    if (it.kind === "file") for await (const chunk of createReadStream(it.file)) digest.update(chunk);
  }
  return digest.digest("hex");
}

const TAR_TYPE = { file: "file", folder: "directory", link: "symlink" };

/** The context as a tar stream with fixed times and owners, which makes equal contexts equal bytes. */
function tarOf(entries, tarStream) {
  const pack = tarStream.pack();
  const add = (it) =>
    new Promise((resolve, reject) => {
      const header = {
        name: it.name,
        type: TAR_TYPE[it.kind],
        mode: it.mode,
        size: it.size,
        mtime: new Date(0),
        uid: 0,
        gid: 0,
      };
      if (it.link !== undefined) header.linkname = it.link;
      const sink = pack.entry(header, (error) => (error ? reject(error) : resolve()));
      if (it.kind === "file") createReadStream(it.file).on("error", reject).pipe(sink);
      else sink.end();
    });
  (async () => {
    for (const it of entries) await add(it);
    pack.finalize();
  })().catch((error) => pack.destroy(error));
  return pack;
}

module.exports = { listContext, digestOf, tarOf };
