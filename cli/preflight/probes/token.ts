/** What the token says of itself. */
import { probe, resultOf } from "../assumption.ts";

export const tokenProbe = probe({
  title: "token",
  assumptions: {
    "token-names-organization": {
      says: "`GET /tokens/current` names the organizations that a token is valid for.",
      restsOn: ["cli/doctor/fly.ts"],
      source: "[openapi.yaml](https://docs.machines.dev/spec/openapi3.json), `GET /v1/tokens/current`",
      wrongIf: "the response is an error, or names no organization",
      playedBy: "test/cli/doctor.test.ts: an app of another organization, a token of another one",
    },
  },
  async measure({ fly, organization }, found) {
    const slugs = [...new Set((await fly.currentTokens()).flatMap(({ org_slug }) => org_slug ?? []))];
    found(
      "token-names-organization",
      resultOf(
        slugs.length > 0,
        slugs.length === 0
          ? "no organization is named"
          : `${slugs.length} named, ${slugs.includes(organization) ? "the one asked for among them" : "not the one asked for"}`,
      ),
    );
  },
});
