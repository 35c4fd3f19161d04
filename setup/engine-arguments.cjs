"use strict";

/** The arguments of the Pulumi CLI, as far as this process can find them: it does not get them. */

const { readFileSync } = require("node:fs");
const path = require("node:path");

/** The engine starts the language host, that the program; a wrapper of ours or of npm may stand between. */
const generations = 6;

/** The arguments of the CLI this process descends from; undefined where there is no /proc, or no such ancestor. */
function engineArguments(pid = process.ppid, proc = "/proc") {
  try {
    for (let n = 0; n < generations && pid > 1; n++) {
      const [program, ...args] = readFileSync(`${proc}/${pid}/cmdline`, "utf8").split("\0").slice(0, -1);
      if (path.basename(program ?? "") === "pulumi") return args;
      pid = Number(/\nPPid:\s*(\d+)/.exec(readFileSync(`${proc}/${pid}/status`, "utf8"))?.[1]);
    }
  } catch {
    // it has ended, or belongs to another user
  }
  return undefined;
}

/** Whether anybody may see what the SDK says for debugging: asked for by a flag, or unknown. */
function isDebugging(args = engineArguments()) {
  return args === undefined || args.some((arg) => /^(-d|-v\d*|--(debug|verbose|logtostderr|logflow)(=.*)?)$/.test(arg));
}

module.exports = { engineArguments, isDebugging };
