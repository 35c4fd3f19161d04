import { expect, test } from "vitest";
import { machineConfig } from "../../../components/machine-config.ts";
import { connectionLimit, idleConnectionKb, limits, processesMb, workerConnections } from "../../../image/limits.ts";

const sizes = [256, 512, 1024, 2048].flatMap((memoryMb) => [1, 2, 4, 8].map((cpus) => ({ memoryMb, cpus })));

test.each([
  { memoryMb: 256, cpus: 1, connections: 927 },
  { memoryMb: 256, cpus: 8, connections: 927 },
  { memoryMb: 512, cpus: 1, connections: 2411 },
  { memoryMb: 1024, cpus: 1, connections: 5378 },
  { memoryMb: 2048, cpus: 1, connections: 8192 },
  { memoryMb: 2048, cpus: 2, connections: 11_314 },
  { memoryMb: 2048, cpus: 8, connections: 11_314 },
])("$memoryMb MB and $cpus CPUs: $connections connections", ({ connections, ...size }) => {
  expect(connectionLimit(size)).toBe(connections);
  const { services } = machineConfig({ name: "cdg-1", cpuKind: "shared", volumeGb: 3, ...size }, "image");
  expect(services.map(({ concurrency }) => concurrency)).toEqual(
    Array(2).fill({ type: "connections", soft_limit: Math.floor(connections / 2), hard_limit: connections }),
  );
});

test.each(sizes)(
  "$memoryMb MB and $cpus CPUs: headers of all of them fit, and nginx has connections for them",
  (size) => {
    const connections = connectionLimit(size);
    const forConnectionsMb = ((size.memoryMb - processesMb) * 3) / 5;
    expect((connections * (limits.headersKb + 2 + idleConnectionKb)) / 1024).toBeLessThanOrEqual(forConnectionsMb);
    expect(2 * connections).toBeLessThanOrEqual(size.cpus * workerConnections);
  },
);

test("a machine with less memory than the processes take gets no connections, not less than none", () => {
  expect(connectionLimit({ memoryMb: 64, cpus: 1 })).toBe(0);
});
