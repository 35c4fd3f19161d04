/** The user's own nginx configuration, included unchanged. */
import type { NginxFiles, Site } from "../spec.ts";

/**
 * Directory in the image for these files. Each keeps its path in the project, so that nginx's error messages show that path. The check in image/Dockerfile
 * removes the directory from the messages.
 */
const userDir = "etc/nginx/own";

/** Paths that are safe in an `include`, where `*` would be a pattern and a space would end the path. */
export const isUserNginxPath = (file: string): boolean =>
  /^(?:[A-Za-z0-9_][A-Za-z0-9._-]{0,99}\/){0,8}[A-Za-z0-9_][A-Za-z0-9._-]{0,99}\.conf$/.test(file);

/** Path of such a file in the image. */
export function userFilePath(file: string): string {
  if (!isUserNginxPath(file)) throw new Error(`nginx: ${JSON.stringify(file)} is not the path of a .conf file.`);
  return `${userDir}/${file}`;
}

/** At the end of the block, so that nginx reports duplicates in the user's file and not in the project's. */
export const userHttpLines = (files: NginxFiles | undefined): string[] =>
  files?.http === undefined ? [] : [`include /${userFilePath(files.http)};`];

export function userServerLines({ host }: Pick<Site, "host">, files: NginxFiles | undefined): string[] {
  const file = files && Object.hasOwn(files.sites, host) ? files.sites[host] : undefined;
  return file === undefined ? [] : [`include /${userFilePath(file)};`];
}

/** All of them, each once, with the start of error messages about it. */
export function userFiles(files: NginxFiles | undefined): { file: string; what: string }[] {
  const all = [
    ...(files?.http === undefined ? [] : [{ file: files.http, what: "nginx.http" }]),
    ...Object.entries(files?.sites ?? {}).map(([host, file]) => ({ file, what: `nginx.sites["${host}"]` })),
  ];
  return all.filter(({ file }, at) => all.findIndex((it) => it.file === file) === at);
}
