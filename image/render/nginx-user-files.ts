/** The user's own configuration of nginx, included as it is. */
import type { NginxFiles, Site } from "../spec.ts";

/** Folder of the image that has them, each under its path in the project, which nginx then names in errors. The check in image/Dockerfile takes the folder away. */
const userDir = "etc/nginx/own";

/** Part of an `include`, where `*` would be a pattern and a space an end. */
export const isUserNginxPath = (file: string): boolean =>
  /^(?:[A-Za-z0-9_][A-Za-z0-9._-]{0,99}\/){0,8}[A-Za-z0-9_][A-Za-z0-9._-]{0,99}\.conf$/.test(file);

/** Where one lies in the image. */
export function userFilePath(file: string): string {
  if (!isUserNginxPath(file)) throw new Error(`nginx: ${JSON.stringify(file)} is not a path of a .conf file.`);
  return `${userDir}/${file}`;
}

/** At the end: what is there twice is then said of the user's file, not of the project's. */
export const userHttpLines = (files: NginxFiles | undefined): string[] =>
  files?.http === undefined ? [] : [`include /${userFilePath(files.http)};`];

export function userServerLines({ host }: Pick<Site, "host">, files: NginxFiles | undefined): string[] {
  const file = files && Object.hasOwn(files.sites, host) ? files.sites[host] : undefined;
  return file === undefined ? [] : [`include /${userFilePath(file)};`];
}

/** All of them, each once, and what a sentence about it begins with. */
export function userFiles(files: NginxFiles | undefined): { file: string; what: string }[] {
  const all = [
    ...(files?.http === undefined ? [] : [{ file: files.http, what: "nginx.http" }]),
    ...Object.entries(files?.sites ?? {}).map(([host, file]) => ({ file, what: `nginx.sites["${host}"]` })),
  ];
  return all.filter(({ file }, at) => all.findIndex((it) => it.file === file) === at);
}
