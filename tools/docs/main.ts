/** `npm run docs`: writes every page that needs nothing but this checkout. Tests compare them with their sources. */
import { readFileSync, writeFileSync } from "node:fs";
import { optionsOf, runScript } from "../../setup/options.mjs";
import { architecturePage, architecturePath, projectImports } from "./architecture.ts";
import { brokenInputs, brokenInputsPath } from "./broken-inputs.ts";
import { certificatesPage, certificatesPath } from "./certificates.ts";
import { cliReference, cliReferencePath } from "./cli.ts";
import { configReference, referencePath } from "./config.ts";
import { faultsPage, faultsPath } from "./faults.ts";
import { flyReality, flyRealityPath } from "./fly-reality.ts";
import { dashboard, dashboardPath } from "./grafana.ts";
import { slipsPage, slipsPath } from "./slips.ts";

await runScript("docs", async (args) => {
  optionsOf(args, {});
  writeFileSync(referencePath, configReference());
  writeFileSync(brokenInputsPath, brokenInputs());
  writeFileSync(dashboardPath, dashboard());
  writeFileSync(cliReferencePath, cliReference());
  writeFileSync(flyRealityPath, flyReality());
  writeFileSync(slipsPath, slipsPage());
  writeFileSync(certificatesPath, certificatesPage());
  writeFileSync(architecturePath, architecturePage(readFileSync(architecturePath, "utf8"), projectImports()));
  // The longest, and the only one that may find something broken.
  writeFileSync(faultsPath, await faultsPage());
});
