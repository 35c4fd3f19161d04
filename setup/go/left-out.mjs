/**
 * What the Go programs of setup are compiled without, by module: nothing that a stack here could use. It was half of all there was to compile, and what is
 * asked for all the same says that it was left out. How a module is cut: setup/go-overlay.mjs.
 */

/** @type {Record<string, import("../go-overlay.mjs").Cut>} */
export const leftOut = {
  "github.com/pulumi/pulumi/pkg/v3": {
    // Keys and logs in the clouds of Amazon, Microsoft and Google, state in the latter two, the browser of Pulumi Cloud's API. State in S3 stays, because it is
    // common.
    patch: "setup/go/pulumi.patch",
    files: "setup/go/_pulumi",
    // What writes programs, packages or prose, and what only Pulumi Cloud has.
    commands: {
      file: "cmd/pulumi/pulumi.go",
      names: {
        clispec: ["gen-cli-spec"],
        do: ["do"],
        env: ["env"],
        insights: ["insights"],
        markdown: ["gen-markdown"],
        neo: ["neo"],
        org: ["org"],
        packagecmd: ["package"],
        project: ["project"],
        schema: ["schema"],
        templatecmd: ["template"],
        trace: ["view-trace", "convert-trace"],
      },
    },
    // `pulumi config` has environments of Pulumi Cloud prepared by two files of the program that manages them.
    keep: { "cmd/esc/cli": ["fs.go", "prepare.go"] },
  },
  "github.com/pulumi/pulumi/sdk/v3": { files: "setup/go/_pulumi-sdk" },
  "github.com/charmbracelet/glamour": { instead: "setup/go/_glamour" },
  "github.com/git-pkgs/manifests": { instead: "setup/go/_manifests" },
  // Keys in clouds, and publishing there. The PoPs' own sops is cut by the same files.
  "github.com/getsops/sops/v3": { files: "image/pop/_sops" },
};
