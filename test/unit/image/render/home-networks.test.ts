import { expect, test } from "vitest";
import { homeNetworks } from "../../../../image/render/home-networks.ts";

const tailnet = { domain: "tail1234.ts.net", tags: ["pop"], hostPrefix: "pop-" };

test("closes the addresses of nodes to other ways", () => {
  expect(homeNetworks(tailnet)).toBe("-4 100.64.0.0/10\n-6 fd7a:115c:a1e0::/48\n");
});

test("closes networks behind subnet routers too, if their routes are accepted, and none of Fly's", () => {
  expect(homeNetworks({ ...tailnet, acceptRoutes: true })).toBe(
    "-4 100.64.0.0/10\n-6 fd7a:115c:a1e0::/48\n-4 10.0.0.0/8\n-4 192.168.0.0/16\n",
  );
});
