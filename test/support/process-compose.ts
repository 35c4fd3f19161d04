/** A command about a container's processes: `processCompose("restart", "certs")`. By its path, as `runas` looks nowhere. */
export const processCompose = (...words: string[]): string[] => [
  ...["/usr/bin/process-compose", "-u", "/run/process-compose.sock", "-L", "/dev/null", "process"],
  ...words,
];
